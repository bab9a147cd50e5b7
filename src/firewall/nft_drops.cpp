// Compares nft's rules with a packet, from libnftables' JSON (libnftables-json(5)).
#include "core/json.hpp"
#include "core/strings.hpp"
#include "firewall/chain_walk.hpp"
#include "firewall/drops.hpp"
#include "firewall/iptables_save.hpp"
#include "firewall/nft_key.hpp"
#include "firewall/nft_script.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <tuple>

namespace hostnet::firewall {
namespace {

using json::View;

constexpr int kBeforeDnat = -101;  // a priority between those of conntrack and of DNAT

struct ChainFacts {
  std::string family;
  std::string table;
  std::string name;
  View object;
};

class Listing {
 public:
  explicit Listing(View objects) {
    for (const auto object : objects.elements()) {
      if (const auto chain = object.find("chain"); chain.is_object())
        chains_.push_back({text_at(chain, "family"), text_at(chain, "table"), text_at(chain, "name"), chain});
      if (const auto rule = object.find("rule"); rule.is_object())
        rules_[{text_at(rule, "family"), text_at(rule, "table"), text_at(rule, "chain")}].push_back(rule);
      for (const char* kind : {"set", "map"})
        if (const auto set = object.find(kind); set.is_object())
          sets_[{text_at(set, "family"), text_at(set, "table"), text_at(set, "name")}] = set;
    }
  }
  [[nodiscard]] const std::vector<ChainFacts>& chains() const { return chains_; }
  [[nodiscard]] const std::vector<View>& rules(const ChainFacts& base, const std::string& chain) const {
    static const std::vector<View> none;
    const auto found = rules_.find({base.family, base.table, chain});
    return found == rules_.end() ? none : found->second;
  }
  // The elements of "@name"; nothing if it has none or is unknown.
  [[nodiscard]] View elements(const ChainFacts& base, std::string_view name) const {
    const auto found = sets_.find({base.family, base.table, std::string(name)});
    return found == sets_.end() ? View() : found->second.find("elem");
  }
  [[nodiscard]] bool has_set(const ChainFacts& base, std::string_view name) const {
    return sets_.contains({base.family, base.table, std::string(name)});
  }

 private:
  using Name = std::tuple<std::string, std::string, std::string>;
  std::vector<ChainFacts> chains_;
  std::map<Name, std::vector<View>> rules_;
  std::map<Name, View> sets_;
};

// Compares the rules of one base chain and of those it jumps to.
class RuleReader {
 public:
  RuleReader(const Listing& listing, const ChainFacts& base, const Packet& packet)
      : listing_(listing), base_(base), packet_(packet) {}

  std::vector<JudgedRule> operator()(const std::string& chain) const {
    std::vector<JudgedRule> out;
    for (const auto rule : listing_.rules(base_, chain)) judge(rule, out);
    return out;
  }

 private:
  void judge(View rule, std::vector<JudgedRule>& out) const {
    const auto handle = static_cast<std::size_t>(rule.find("handle").natural().value_or(0));
    Truth matches = Truth::yes;
    for (const auto statement : rule.find("expr").elements()) {
      const auto members = statement.members();
      if (members.empty()) continue;
      const auto& [name, value] = members.front();
      if (name == "match") {
        matches = both(matches, matched(value));
        if (matches == Truth::no) return;
      } else if (name == "vmap") {
        map(value, matches, handle, out);
      } else if (is_doubtful(name, value)) {
        matches = both(matches, Truth::maybe);
        // Another program, or another device, gets the packet; and a proxy answers in its place.
        if (name == "queue" || name == "fwd") out.push_back({matches, Act::drop, {}, handle});
        if (name == "synproxy") out.push_back({matches, Act::accept, {}, handle});
      } else if (name == "xt") {
        // A compatible match or target of iptables-nft that nft does not show.
        matches = both(matches, Truth::maybe);
        if (text_at(value, "name") == "REJECT") out.push_back({matches, Act::reject, {}, handle});
      } else {
        verdict(name, value, matches, handle, out);
      }
    }
  }

  // Statements after which the rule may end. One that counts in a set has its limit as "stmt".
  static bool is_doubtful(std::string_view name, View value) {
    constexpr std::array all{"limit", "quota",    "ct count", "connlimit", "queue",
                             "fwd",   "synproxy", "tproxy",   "meter"};
    return std::ranges::find(all, name) != all.end() ||
           ((name == "set" || name == "map") && value.find("stmt").is_there());
  }

  static void verdict(std::string_view name, View value, Truth matches, std::size_t handle,
                      std::vector<JudgedRule>& out) {
    // A NAT statement accepts, too: no later rule of the chain sees the packet.
    constexpr std::array accepting{"accept", "dnat", "snat", "masquerade", "redirect"};
    const auto act = std::ranges::find(accepting, name) != accepting.end() ? Act::accept
                     : name == "drop"                                      ? Act::drop
                     : name == "reject"                                    ? Act::reject
                     : name == "jump"                                      ? Act::jump
                     : name == "goto"                                      ? Act::go_to
                     : name == "return"                                    ? Act::leave
                                                                           : Act::go_on;
    if (act != Act::go_on) out.push_back({matches, act, text_at(value, "target"), handle});
  }

  void map(View vmap, Truth matches, std::size_t handle, std::vector<JudgedRule>& out) const {
    const Key key(vmap.find("key"), packet_);
    if (key.is_absent()) return;
    const auto elements = elements_of(vmap.find("data"));
    const auto add = [&](View element, Truth is) {
      const auto members = element[1].members();
      if (is != Truth::no && !members.empty())
        verdict(members.front().first, members.front().second, both(matches, is), handle, out);
    };
    Truth found = Truth::no;
    for (const auto element : elements) {
      if (is_catch_all(element[0])) continue;
      const auto is = key.is(element[0]);
      found = either(found, is);
      add(element, is);
    }
    for (const auto element : elements)
      if (is_catch_all(element[0])) add(element, negation(found));
  }

  // Of {"set": […]}, "@name", and of one value.
  [[nodiscard]] std::vector<View> elements_of(View right) const {
    if (const auto text = right.text(); text && text->starts_with('@'))
      return listing_.elements(base_, text->substr(1)).elements();
    if (right.find("set").is_list()) return right.find("set").elements();
    return {right};
  }

  [[nodiscard]] Truth matched(View match) const {
    const Key key(match.find("left"), packet_);
    if (key.is_absent()) return Truth::no;
    const auto op = text_at(match, "op");
    const auto right = match.find("right");
    if (op != "==" && op != "!=" && op != "in" && op != "!") return compared(key, op, right);
    const auto text = right.text();
    if (text && text->starts_with('@') && !listing_.has_set(base_, text->substr(1))) return Truth::maybe;
    const bool has_elements = (text && text->starts_with('@')) || right.find("set").is_list();
    Truth any = Truth::no;
    for (const auto element : elements_of(right))
      any = either(any, has_elements || op == "==" || op == "!=" ? key.is(element) : key.has_any(element));
    return op == "!=" || op == "!" ? negation(any) : any;
  }

  static Truth compared(const Key& key, const std::string& op, View right) {
    const auto number = right.natural();
    if (!number) return Truth::maybe;
    if (op == "<") return *number == 0 ? Truth::no : key.is_port_between(0, *number - 1);
    if (op == "<=") return key.is_port_between(0, *number);
    if (op == ">") return key.is_port_between(*number + 1, 0xffff);
    if (op == ">=") return key.is_port_between(*number, 0xffff);
    return Truth::maybe;
  }

  const Listing& listing_;
  const ChainFacts& base_;
  const Packet& packet_;
};

Layer layer_of(const ChainFacts& chain, Hook hook) {
  if (hook == Hook::ingress || hook == Hook::egress) return Layer::device;
  return chain.family == "bridge" ? Layer::bridge : Layer::ip;
}

// The bridge or the container's port, whichever is among the devices; empty if none is.
std::string device_among(const std::vector<std::string>& devices, const Passage& passage) {
  for (const auto& one : {passage.port, passage.bridge})
    for (const auto& device : devices)
      if (!one.empty() && is_interface(true, one, device) == Truth::yes) return one;
  return {};
}

std::string prefix_text(const Prefix& prefix) {
  return prefix.length == 32 ? prefix.address.to_string()
                             : fmt::format("{}/{}", prefix.address.to_string(), prefix.length);
}

// What the inserted rule matches: as little as lets the connection pass.
std::string words_for(const Packet& packet, bool with_interface) {
  std::string out;
  const auto add = [&out](const std::string& more) { out += (out.empty() ? "" : " ") + more; };
  if (with_interface && packet.has_in && !packet.in.empty()) add(fmt::format("iifname \"{}\"", packet.in));
  if (with_interface && packet.has_out && !packet.out.empty()) add(fmt::format("oifname \"{}\"", packet.out));
  if (packet.dnat) return out + " ct status dnat accept";
  if (packet.source.length > 0) add("ip saddr " + prefix_text(packet.source));
  if (packet.destination.length > 0) add("ip daddr " + prefix_text(packet.destination));
  const char* const protocol = to_string(packet.protocol);
  if (packet.source_port) add(fmt::format("{} sport {}", protocol, *packet.source_port));
  if (packet.destination_port) add(fmt::format("{} dport {}", protocol, *packet.destination_port));
  if (!packet.source_port && !packet.destination_port) add(fmt::format("ip protocol {}", protocol));
  return out + " accept";
}

// Whether no ARP frame matches the rule.
bool compares_ip(View rule) {
  const auto text = rule.find("expr").dump();
  if (text.find("\"arp\"") != std::string::npos) return false;
  return text.find("\"ip\"") != std::string::npos || text.find("\"tcp\"") != std::string::npos ||
         text.find("\"udp\"") != std::string::npos || text.find("\"th\"") != std::string::npos;
}

}  // namespace

std::vector<PlacedDrop> nft_drops(std::string_view listing, const std::vector<netlink::NftHook>& hooks,
                                  std::string_view others, const Passage& passage) {
  json::Value parsed;
  try {
    parsed = json::parse(listing, {.values = std::numeric_limits<std::size_t>::max()});
  } catch (const json::Unreadable& fault) {
    throw Error(Errc::failure,
                fmt::format("libnftables lists the rules in an unknown form: {}", fault.what()));
  }
  const Listing rules(parsed.view().find("nftables"));
  const auto told = saved_tables(others);
  std::vector<PlacedDrop> out;
  for (const auto& chain : rules.chains()) {
    const auto hook = parse_hook(text_at(chain.object, "hook"));
    if (!hook || chain.family == "ip6" || chain.family == "arp") continue;
    if (chain.family == "ip" && chain.table == nft::kTableName) continue;
    if (chain.family == "ip" && std::ranges::find(told, chain.table) != told.end()) continue;
    const auto priority = static_cast<int>(chain.object.find("prio").integer().value_or(0));
    const auto layer = layer_of(chain, *hook);
    const auto place = std::ranges::find_if(hooks, [&](const netlink::NftHook& one) {
      return one.family == chain.family && one.table == chain.table && one.chain == chain.name;
    });
    if (place == hooks.end()) continue;
    const auto device = layer == Layer::device ? device_among(place->devices, passage) : std::string();
    if (layer == Layer::device && device.empty()) continue;
    const bool is_nat = text_at(chain.object, "type") == "nat";
    const auto packet =
        packet_at(passage, layer, *hook, is_nat ? std::min(priority, kBeforeDnat) : priority, device);
    if (!packet || (is_nat && packet->answer)) continue;
    const RuleReader reader(rules, chain, *packet);
    const auto hit = walk_chain(chain.name, text_at(chain.object, "policy") == "drop", reader);
    if (!hit) continue;
    const auto name = fmt::format("{} {} {}", chain.family, chain.table, hit->chain);
    const auto quoted =
        fmt::format("{} {} {}", chain.family, shell_word(chain.table), shell_word(hit->chain));
    // After a DNAT of ours, the kernel skips the other chains of type nat.
    const bool after_ours = is_nat && packet->to_host == true && *hook == Hook::prerouting;
    Drop drop{.certain = hit->certain && !after_ours, .rejects = hit->rejects};
    const auto words = words_for(*packet, layer == Layer::ip);
    if (hit->by_policy) {
      drop.what = fmt::format("the policy of chain {}", name);
      drop.remedy = fmt::format("nft insert rule {} {}", quoted, words);
      if (layer != Layer::ip)
        drop.remedy += fmt::format(" && nft insert rule {} ether type arp accept", quoted);
    } else {
      drop.what = fmt::format("the rule with handle {} in chain {}", hit->index, name);
      const auto& list = rules.rules(chain, hit->chain);
      const auto rule = std::ranges::find_if(
          list, [&](View one) { return one.find("handle").natural().value_or(0) == hit->index; });
      // Below IP a rule that compares no address also drops ARP, which no accept for a port would let pass.
      const bool all_frames = layer != Layer::ip && rule != list.end() && !compares_ip(*rule);
      drop.remedy = all_frames ? fmt::format("nft delete rule {} handle {}", quoted, hit->index)
                               : fmt::format("nft insert rule {} handle {} {}", quoted, hit->index, words);
    }
    out.push_back({place_of(layer, *hook), priority, std::move(drop)});
  }
  return out;
}

}  // namespace hostnet::firewall
