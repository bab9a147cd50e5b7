// Reads libnftables' JSON listing (libnftables-json(5)).
#include "core/join.hpp"
#include "core/json.hpp"
#include "firewall/nft_script.hpp"
#include "firewall/nft_shape.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

namespace hostnet::firewall::nft {
namespace {

using json::View;

[[noreturn]] void strange(std::string_view what) {
  throw Error(Errc::failure,
              fmt::format("libnftables lists table {} in an unknown form: {}", kTableName, what));
}

// No limit on values: the kernel's own listing has as many as there are elements.
json::Value parse(std::string_view text) {
  try {
    auto listing = json::parse(text, {.values = std::numeric_limits<std::size_t>::max()});
    if (listing.view().find("nftables").is_list()) return listing;
  } catch (const json::Unreadable& fault) {
    strange(fault.what());
  }
  strange("not a list of objects");
}

std::string text_in(View value) { return std::string(value.text().value_or("")); }
std::string text_of(View object, std::string_view name) { return text_in(object.find(name)); }

// "ipv4_addr . inet_service" or ["ipv4_addr", "inet_service"], depending on the version.
std::string joined(View types) {
  if (!types.is_list()) return text_in(types);
  std::string out;
  for (const auto type : types.elements()) {
    if (!out.empty()) out += " . ";
    out += type.text().value_or("?");
  }
  return out;
}

struct Element {
  std::vector<View> key;
  std::vector<View> leads_to;
  std::string comment;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

// A value, or {"concat": [...]}, possibly inside {"elem": {"val": ...}} with further members.
void read_key(View json, Element& element) {
  if (const auto inner = json.find("elem"); inner.is_there()) {
    element.comment = text_of(inner, "comment");
    const auto counter = inner.find("counter");
    element.packets = counter.find("packets").natural().value_or(0);
    element.bytes = counter.find("bytes").natural().value_or(0);
    json = inner.find("val");
    if (!json.is_there()) strange("an element without a value");
  }
  const auto concat = json.find("concat");
  if (concat.is_list())
    element.key = concat.elements();
  else
    element.key = {json};
}

std::vector<Element> elements_in(View set) {
  std::vector<Element> out;
  const auto list = set.find("elem");
  if (list.is_there() && !list.is_list()) strange("elements that are not a list");
  for (const auto entry : list.elements()) {
    auto& element = out.emplace_back();
    if (!entry.is_list()) {
      read_key(entry, element);
      continue;
    }
    if (entry.size() != 2) strange("a map element that is not a pair");
    read_key(entry[0], element);
    Element target;
    read_key(entry[1], target);
    element.leads_to = std::move(target.key);
  }
  return out;
}

std::string word(std::string_view type, View value) {
  const auto text = value.text();
  if (!text) return value.dump();
  return type == "ifname" ? fmt::format("\"{}\"", *text) : std::string(*text);
}

std::string words(const std::vector<std::string_view>& types, const std::vector<View>& values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i)
    out += (i == 0 ? "" : " . ") + word(i < types.size() ? types[i] : std::string_view(), values[i]);
  return out;
}

void read_set(View json, const SetShape& shape, bool is_map, SetState& set) {
  set.there = true;
  set.is_map = is_map;
  set.right = is_map == shape.is_map() && joined(json.find("type")) == join(shape.key, " . ") &&
              (!is_map || joined(json.find("map")) == join(shape.leads_to, " . "));
  if (!set.right) return;
  for (const auto& element : elements_in(json)) {
    std::string rest;
    if (!element.comment.empty()) rest = fmt::format(" comment \"{}\"", element.comment);
    if (is_map) rest += " : " + words(shape.leads_to, element.leads_to);
    set.elements.emplace(words(shape.key, element.key), std::move(rest));
  }
}

bool is_rule(View json, const RuleShape& shape) {
  if (text_of(json, "comment") != kRuleComment) return false;
  const auto text = json.find("expr").dump();
  return std::ranges::all_of(shape.signs,
                             [&](std::string_view sign) { return text.find(sign) != std::string::npos; });
}

bool is_chain(View json, const PartShape& shape) {
  const auto policy = text_of(json, "policy");
  return text_of(json, "type") == shape.type && text_of(json, "hook") == shape.hook &&
         json.find("prio").integer() == shape.priority && (policy.empty() || policy == "accept");
}

// Calls `visit` for each of our sets and maps: its shape, its index, the object, whether it is a map.
template <class Visit>
void each_set(View listing, Visit visit) {
  for (const auto entry : listing.find("nftables").elements())
    for (const bool is_map : {false, true}) {
      const auto found = entry.find(is_map ? "map" : "set");
      if (!found.is_there()) continue;
      for (const auto table : kTables) {
        const auto& sets = shape_of(table).sets;
        const auto shape = std::ranges::find(sets, text_of(found, "name"), &SetShape::name);
        if (shape != sets.end())
          visit(table, static_cast<std::size_t>(shape - sets.begin()), *shape, found, is_map);
      }
    }
}

std::optional<Ipv4> address_in(View value) {
  const auto text = value.text();
  return text ? Ipv4::parse(*text) : std::nullopt;
}

std::uint16_t port_in(View value) { return static_cast<std::uint16_t>(value.natural().value_or(0)); }

ForwardTraffic forward_of(const SetShape& shape, const Element& element) {
  ForwardTraffic traffic;
  auto& forward = traffic.forward;
  forward.protocol = shape.name.ends_with("_udp") ? Protocol::udp : Protocol::tcp;
  const bool has_source = std::ranges::count(shape.key, std::string_view("ipv4_addr")) == 2;
  for (std::size_t i = 0; i < shape.key.size(); ++i) {
    const auto value = element.key[i];
    if (shape.key[i] == "ifname") forward.bridge = text_in(value);
    if (shape.key[i] == "ether_addr") forward.mac = Mac::parse(text_in(value));
    if (shape.key[i] == "inet_proto" && value.natural() == static_cast<std::uint64_t>(Protocol::udp))
      forward.protocol = Protocol::udp;
    if (shape.key[i] == "inet_service") forward.listen = port_in(value);
    if (shape.key[i] != "ipv4_addr") continue;
    const bool is_source = has_source && !forward.source;
    if (is_source)
      forward.source = address_in(value);
    else
      forward.gateway = address_in(value).value_or(Ipv4{});
  }
  forward.service = address_in(element.leads_to[0]).value_or(Ipv4{});
  forward.host = port_in(element.leads_to[1]);
  traffic.packets = element.packets;
  traffic.bytes = element.bytes;
  return traffic;
}

State state_in(View listing) {
  State state;
  std::map<std::string, std::vector<View>> rules;  // by chain, in order
  for (const auto entry : listing.find("nftables").elements()) {
    if (entry.find("table").is_there()) state.table_there = true;
    if (const auto rule = entry.find("rule"); rule.is_there()) rules[text_of(rule, "chain")].push_back(rule);
  }
  for (const auto entry : listing.find("nftables").elements()) {
    const auto chain = entry.find("chain");
    if (!chain.is_there()) continue;
    for (const auto table : kTables) {
      const auto& shape = shape_of(table);
      if (text_of(chain, "name") != shape.chain) continue;
      auto& part = state.parts[static_cast<std::size_t>(table)];
      part.chain_there = true;
      part.chain_hooked = is_chain(chain, shape);
      part.chain_right =
          part.chain_hooked && std::ranges::equal(rules[std::string(shape.chain)], shape.rules, is_rule);
    }
  }
  each_set(listing, [&](Table table, std::size_t place, const SetShape& shape, View set, bool is_map) {
    read_set(set, shape, is_map, state.parts[static_cast<std::size_t>(table)].sets[place]);
  });
  return state;
}

std::vector<ForwardTraffic> forwards_in(View listing) {
  std::vector<ForwardTraffic> out;
  each_set(listing, [&](Table table, std::size_t, const SetShape& shape, View set, bool is_map) {
    if (table != Table::nat || !is_map) return;
    for (const auto& element : elements_in(set))
      if (element.key.size() == shape.key.size() && element.leads_to.size() == shape.leads_to.size())
        out.push_back(forward_of(shape, element));
  });
  return out;
}

}  // namespace

State read_state(std::string_view json) {
  const auto listing = parse(json);
  return state_in(listing.view());
}

std::vector<ForwardTraffic> read_forwards(std::string_view json) {
  const auto listing = parse(json);
  return forwards_in(listing.view());
}
}  // namespace hostnet::firewall::nft
