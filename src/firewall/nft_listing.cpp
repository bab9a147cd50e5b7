// Reading what libnftables lists as JSON (libnftables-json(5)).
#include "firewall/nft_script.hpp"
#include "firewall/nft_shape.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace hostnet::firewall::nft {
namespace {

using Json = nlohmann::json;

[[noreturn]] void strange(std::string_view what) {
  throw Error(Errc::failure,
              fmt::format("libnftables lists the table {} in a way that is not known: {}", kTableName, what));
}

Json parse(std::string_view text) {
  auto json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("nftables") || !json["nftables"].is_array())
    strange("no list of objects");
  return json;
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "ipv4_addr . inet_service" or ["ipv4_addr", "inet_service"]: versions differ.
std::string joined(const Json& types) {
  if (types.is_string()) return types.get<std::string>();
  std::string out;
  if (types.is_array())
    for (const auto& type : types)
      out += (out.empty() ? "" : " . ") + (type.is_string() ? type.get<std::string>() : "?");
  return out;
}

struct Element {
  std::vector<Json> key;
  std::vector<Json> leads_to;
  std::string comment;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

// A value, or {"concat": [...]}, maybe within {"elem": {"val": ...}} with more about it.
void read_key(const Json& json, Element& element) {
  if (json.is_object() && json.contains("elem")) {
    const auto& inner = json["elem"];
    element.comment = text_of(inner, "comment");
    if (const auto counter = inner.find("counter"); counter != inner.end() && counter->is_object()) {
      element.packets = counter->value("packets", std::uint64_t{0});
      element.bytes = counter->value("bytes", std::uint64_t{0});
    }
    if (!inner.contains("val")) strange("an element without a value");
    return read_key(inner["val"], element);
  }
  if (json.is_object() && json.contains("concat"))
    element.key = json["concat"].get<std::vector<Json>>();
  else
    element.key = {json};
}

std::vector<Element> elements_in(const Json& set) {
  std::vector<Element> out;
  const auto list = set.find("elem");
  if (list == set.end()) return out;
  if (!list->is_array()) strange("elements that are no list");
  for (const auto& entry : *list) {
    auto& element = out.emplace_back();
    if (!entry.is_array()) {
      read_key(entry, element);
      continue;
    }
    if (entry.size() != 2) strange("an element of a map that is no pair");
    read_key(entry[0], element);
    Element target;
    read_key(entry[1], target);
    element.leads_to = std::move(target.key);
  }
  return out;
}

std::string word(std::string_view type, const Json& value) {
  if (value.is_number_unsigned()) return fmt::format("{}", value.get<std::uint64_t>());
  if (!value.is_string()) return value.dump();
  const auto text = value.get<std::string>();
  return type == "ifname" ? '"' + text + '"' : text;
}

std::string words(const std::vector<std::string_view>& types, const std::vector<Json>& values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i)
    out += (i == 0 ? "" : " . ") + word(i < types.size() ? types[i] : std::string_view(), values[i]);
  return out;
}

void read_set(const Json& json, const SetShape& shape, bool is_map, SetState& set) {
  set.there = true;
  set.is_map = is_map;
  set.right = is_map == shape.is_map() && joined(json.value("type", Json())) == joined(Json(shape.key)) &&
              (!is_map || joined(json.value("map", Json())) == joined(Json(shape.leads_to)));
  if (!set.right) return;
  for (const auto& element : elements_in(json)) {
    std::string rest;
    if (!element.comment.empty()) rest = fmt::format(" comment \"{}\"", element.comment);
    if (is_map) rest += " : " + words(shape.leads_to, element.leads_to);
    set.elements.emplace(words(shape.key, element.key), std::move(rest));
  }
}

bool is_rule(const Json& json, const RuleShape& shape) {
  if (text_of(json, "comment") != kRuleComment || !json.contains("expr")) return false;
  const auto text = json["expr"].dump();
  return std::ranges::all_of(shape.signs,
                             [&](std::string_view sign) { return text.find(sign) != std::string::npos; });
}

bool is_chain(const Json& json, const PartShape& shape) {
  const auto priority = json.find("prio");
  const auto policy = text_of(json, "policy");
  return text_of(json, "type") == shape.type && text_of(json, "hook") == shape.hook &&
         priority != json.end() && priority->is_number_integer() && priority->get<int>() == shape.priority &&
         (policy.empty() || policy == "accept");
}

// Calls for each set or map of ours: its shape, the place of it, the object, whether it is a map.
template <class Visit>
void each_set(const Json& listing, Visit visit) {
  for (const auto& entry : listing["nftables"])
    for (const bool is_map : {false, true}) {
      const auto found = entry.find(is_map ? "map" : "set");
      if (found == entry.end()) continue;
      for (const auto table : kTables) {
        const auto& sets = shape_of(table).sets;
        const auto shape = std::ranges::find(sets, text_of(*found, "name"), &SetShape::name);
        if (shape != sets.end())
          visit(table, static_cast<std::size_t>(shape - sets.begin()), *shape, *found, is_map);
      }
    }
}

std::optional<Ipv4> address_in(const Json& value) {
  return value.is_string() ? Ipv4::parse(value.get<std::string>()) : std::nullopt;
}

std::uint16_t port_in(const Json& value) {
  return value.is_number_unsigned() ? static_cast<std::uint16_t>(value.get<std::uint64_t>())
                                    : std::uint16_t{0};
}

DoorTraffic door_of(const SetShape& shape, const Element& element) {
  DoorTraffic traffic;
  auto& door = traffic.door;
  door.protocol = shape.name.ends_with("_udp") ? Protocol::udp : Protocol::tcp;
  const bool has_source = std::ranges::count(shape.key, std::string_view("ipv4_addr")) == 2;
  for (std::size_t i = 0; i < shape.key.size(); ++i) {
    const auto& value = element.key[i];
    if (shape.key[i] == "ifname") door.bridge = value.is_string() ? value.get<std::string>() : "";
    if (shape.key[i] == "ether_addr")
      door.mac = Mac::parse(value.is_string() ? value.get<std::string>() : "");
    if (shape.key[i] == "inet_proto" && value == Json(static_cast<unsigned>(Protocol::udp)))
      door.protocol = Protocol::udp;
    if (shape.key[i] == "inet_service") door.listen = port_in(value);
    if (shape.key[i] != "ipv4_addr") continue;
    const bool is_source = has_source && !door.source;
    if (is_source)
      door.source = address_in(value);
    else
      door.gateway = address_in(value).value_or(Ipv4{});
  }
  door.host = port_in(element.leads_to[1]);
  traffic.packets = element.packets;
  traffic.bytes = element.bytes;
  return traffic;
}

State state_in(const Json& listing) {
  State state;
  std::map<std::string, std::vector<const Json*>> rules;  // of each chain, in order
  for (const auto& entry : listing["nftables"]) {
    if (entry.contains("table")) state.table_there = true;
    if (const auto rule = entry.find("rule"); rule != entry.end())
      rules[text_of(*rule, "chain")].push_back(&*rule);
  }
  for (const auto& entry : listing["nftables"]) {
    const auto chain = entry.find("chain");
    if (chain == entry.end()) continue;
    for (const auto table : kTables) {
      const auto& shape = shape_of(table);
      if (text_of(*chain, "name") != shape.chain) continue;
      auto& part = state.parts[static_cast<std::size_t>(table)];
      part.chain_there = true;
      part.chain_hooked = is_chain(*chain, shape);
      part.chain_right =
          part.chain_hooked && std::ranges::equal(rules[std::string(shape.chain)], shape.rules,
                                                  [](const Json* rule, const RuleShape& wanted) {
                                                    return is_rule(*rule, wanted);
                                                  });
    }
  }
  each_set(listing, [&](Table table, std::size_t place, const SetShape& shape, const Json& set, bool is_map) {
    read_set(set, shape, is_map, state.parts[static_cast<std::size_t>(table)].sets[place]);
  });
  return state;
}

std::vector<DoorTraffic> doors_in(const Json& listing) {
  std::vector<DoorTraffic> out;
  each_set(listing, [&](Table table, std::size_t, const SetShape& shape, const Json& set, bool is_map) {
    if (table != Table::nat || !is_map) return;
    for (const auto& element : elements_in(set))
      if (element.key.size() == shape.key.size() && element.leads_to.size() == shape.leads_to.size())
        out.push_back(door_of(shape, element));
  });
  return out;
}

// The types of values are taken on trust; where that is misplaced, nlohmann's exceptions stay in.
template <class Read>
auto checked(Read read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    strange(error.what());
  }
}

}  // namespace

State read_state(std::string_view json) {
  return checked([&] { return state_in(parse(json)); });
}

std::vector<DoorTraffic> read_doors(std::string_view json) {
  return checked([&] { return doors_in(parse(json)); });
}
}  // namespace hostnet::firewall::nft
