// Writes and recognises the table of bindings.
//
// The rules match what the host's IP layer receives after the bridge. At this hook the kernel has already
// moved the outermost tag, of any VLAN, out of the frame (skb->vlan_tci). So `meta protocol` is the type
// inside that tag, whereas the Ethernet header's type would be the tag's. The remaining cases:
//
//   outermost  further ones   does the host's IP receive it?                                 stopped by
//   none       –              yes                                                            bindings, rule 1
//   VLAN 0     –              yes: a priority only (IEEE 802.1Q)                             bindings, rule 1
//   VLAN n     –              if vlan_filtering is on, and n leaves by the bridge untagged   bindings, rule 1
//   any        all VLAN 0     as above: the kernel removes tags of VLAN 0, one by one        bindings, rule 2
//   any        one VLAN n     no: the bridge never removes a second such tag                 –
//   any        type 0x9100    no: the kernel does not treat it as a tag                      –
//
// The tag's type (802.1Q, 802.1ad) makes no difference: a bridge of the other vlan_protocol puts the tag back
// into the frame under a tag of its own, which it removes again. So rule 2 drops a tag of VLAN 0 inside
// another tag, whatever it contains and whatever its destination: such frames have no use, and this chain
// cannot see through an arbitrary number of tags. The chain runs before the host's own VLAN filter and before
// the bridge calls the IP tables. It drops instead of rejecting, because the sender is forged.
//
// ARP claims to a bound address are dropped only on their way to the host (hook input), which would otherwise
// send its replies to the claimant. Claims to other containers pass: an address may move on purpose.
#include "firewall/bindings.hpp"

#include "core/join.hpp"
#include "core/json.hpp"
#include "firewall/nft_script.hpp"
#include "firewall/nft_shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>

namespace hostnet::firewall {

void BindingPlan::merge(const BindingPlan& other) {
  bindings.insert(other.bindings.begin(), other.bindings.end());
  gateways.insert(other.gateways.begin(), other.gateways.end());
}

namespace nft {
namespace {

using json::View;

constexpr int kPriority = -310;  // before ebtables and before the bridge calls the IP tables
struct Chain {
  std::string_view name;
  std::string_view hook;
};
constexpr std::array<Chain, 2> kChains{{{"pins", "prerouting"}, {"claims", "input"}}};
struct Rule {
  std::string_view chain;
  std::string_view text;
  std::array<std::string_view, 5> signs;  // occur in the listing of any version
};
constexpr std::array<Rule, 3> kRules{
    {{"pins",
      "meta protocol 0x0800 ip saddr @pinned ip daddr @gateways ip saddr . iifname != @ports counter drop",
      {"@pinned", "@gateways", "@ports", "!=", "drop"}},
     {"pins",
      "meta protocol { 0x8100, 0x88a8 } @nh,4,12 0 counter drop",
      {"meta", "protocol", "\"set\"", "\"nh\"", "drop"}},
     {"claims",
      "meta protocol 0x0806 arp saddr ip @pinned arp saddr ip . iifname != @ports counter drop",
      {"arp", "@pinned", "@ports", "!=", "drop"}}}};

using Keys = std::set<std::string>;

// Elements of the sets pinned, gateways and ports, in the form that nft takes and lists.
std::array<Keys, 3> elements_of(const BindingPlan& plan) {
  std::array<Keys, 3> out;
  for (const auto& [source, port] : plan.bindings) {
    out[0].insert(source.to_string());
    out[2].insert(fmt::format("{} . \"{}\"", source.to_string(), port));
  }
  for (const auto gateway : plan.gateways) out[1].insert(gateway.to_string());
  return out;
}

struct Set {
  std::string_view name;
  std::string_view type;
};
constexpr std::array<Set, 3> kSets{
    {{"pinned", "ipv4_addr"}, {"gateways", "ipv4_addr"}, {"ports", "ipv4_addr . ifname"}}};

void change_elements(std::string& script, std::string_view verb, std::string_view set, const Keys& elements) {
  if (!elements.empty())
    fmt::format_to(std::back_inserter(script), "{} element bridge {} {} {{ {} }}\n", verb, kTableName, set,
                   join(elements, ", "));
}

Keys without(const Keys& all, const Keys& those) {
  Keys out;
  std::ranges::set_difference(all, those, std::inserter(out, out.end()));
  return out;
}

// The key of an address, or of an address and a port. Anything else gets a key that matches none of ours.
std::string key_of(View element) {
  const auto inner = element.find("elem");
  const auto value = inner.is_there() ? inner.find("val") : element;
  if (const auto text = value.text()) return std::string(*text);
  const auto parts = value.find("concat");
  return fmt::format("{} . \"{}\"", parts[0].text().value_or("?"), parts[1].text().value_or("?"));
}

bool is_rule(View rule, const Rule& wanted) {
  const auto text = rule.find("expr").dump();
  return rule.find("chain").text() == wanted.chain && rule.find("comment").text() == kRuleComment &&
         std::ranges::all_of(wanted.signs, [&](auto sign) { return text.find(sign) != std::string::npos; });
}

bool is_chain(View chain, const Chain& wanted) {
  const auto policy = chain.find("policy");
  return chain.find("name").text() == wanted.name && chain.find("type").text() == "filter" &&
         chain.find("hook").text() == wanted.hook && chain.find("prio").integer() == kPriority &&
         (!policy.is_there() || policy.text() == "accept");
}

// Throws json::Unreadable.
bool are_bindings(std::string_view text, const BindingPlan& plan) {
  const auto wanted = elements_of(plan);
  const auto tree = json::parse(text, {.values = std::numeric_limits<std::size_t>::max()});
  std::size_t sets = 0;
  std::size_t chains = 0;
  std::size_t rules = 0;
  for (const auto entry : tree.view().find("nftables").elements()) {
    if (const auto chain = entry.find("chain");
        chain.is_there() && (chains == kChains.size() || !is_chain(chain, kChains[chains++])))
      return false;
    if (const auto rule = entry.find("rule");
        rule.is_there() && (rules == kRules.size() || !is_rule(rule, kRules[rules++])))
      return false;
    const auto set = entry.find("set");
    if (!set.is_there()) continue;
    const auto known = std::ranges::find(kSets, set.find("name").text().value_or(""), &Set::name);
    if (known == kSets.end()) return false;
    Keys elements;
    for (const auto element : set.find("elem").elements()) elements.insert(key_of(element));
    if (elements != wanted[static_cast<std::size_t>(known - kSets.begin())]) return false;
    ++sets;
  }
  return sets == kSets.size() && chains == kChains.size() && rules == kRules.size();
}

}  // namespace

std::string bindings_to_nft(const BindingPlan& plan) {
  auto script =
      fmt::format("add table bridge {0}\ndelete table bridge {0}\nadd table bridge {0}\n", kTableName);
  for (const auto& set : kSets)
    fmt::format_to(std::back_inserter(script), "add set bridge {} {} {{ type {}; }}\n", kTableName, set.name,
                   set.type);
  for (const auto& chain : kChains)
    fmt::format_to(std::back_inserter(script),
                   "add chain bridge {} {} {{ type filter hook {} priority {}; policy accept; }}\n",
                   kTableName, chain.name, chain.hook, kPriority);
  const auto elements = elements_of(plan);
  for (std::size_t i = 0; i < kSets.size(); ++i) change_elements(script, "add", kSets[i].name, elements[i]);
  for (const auto& rule : kRules)
    fmt::format_to(std::back_inserter(script), "add rule bridge {} {} {} comment \"{}\"\n", kTableName,
                   rule.chain, rule.text, kRuleComment);
  return script;
}

std::string no_bindings() { return fmt::format("delete table bridge {}\n", kTableName); }

std::string bindings_between(const BindingPlan& from, const BindingPlan& to) {
  std::string script;
  const auto before = elements_of(from);
  const auto after = elements_of(to);
  for (std::size_t i = 0; i < kSets.size(); ++i) {
    change_elements(script, "add", kSets[i].name, without(after[i], before[i]));
    change_elements(script, "delete", kSets[i].name, without(before[i], after[i]));
  }
  return script;
}

bool is_bindings(std::string_view text, const BindingPlan& plan) noexcept {
  try {
    return are_bindings(text, plan);
  } catch (const json::Unreadable&) {
    return false;
  }
}

}  // namespace nft
}  // namespace hostnet::firewall
