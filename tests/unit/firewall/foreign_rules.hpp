// The connection that the tests of foreign rules follow, and nft's listing of one rule that drops it.
#pragma once

#include "firewall/drops.hpp"
#include "support/addresses.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// 198.18.0.5 on port veth1 of br0 dials 198.18.0.1:8088, which leads to 127.0.0.1:80.
inline hostnet::firewall::Passage passage() {
  return {.bridge = "br0",
          .port = "veth1",
          .source = {ip("198.18.0.5"), 32},
          .dialled = ip("198.18.0.1"),
          .dialled_port = 8088,
          .host_port = 80};
}

/// The same to a sidecar, in the bridge and in the hooks of family ip.
inline hostnet::firewall::Passage sidecar_passage() {
  auto out = passage();
  out.to_sidecar = out.bridge_calls_iptables = true;
  return out;
}

/// A listing with one base chain "c" that has one rule, with handle 7. `more`: ", {…}", further objects.
inline std::string base_chain_with(std::string_view expressions, std::string_view hook = "input",
                                   int priority = 0, std::string_view family = "inet",
                                   std::string_view more = "", std::string_view type = "filter") {
  return fmt::format(
      R"({{"nftables": [{{"chain": {{"family": "{0}", "table": "t", "name": "c", "handle": 1, "type": "{5}",
      "hook": "{1}", "prio": {2}, "policy": "accept"}}}}{4}, {{"rule": {{"family": "{0}", "table": "t", "chain": "c",
      "handle": 7, "expr": [{3}]}}}}]}})",
      family, hook, priority, expressions, more, type);
}

/// The packets' way through that chain.
inline std::vector<hostnet::netlink::NftHook> hooks(std::string_view family = "inet",
                                                    std::vector<std::string> devices = {}) {
  return {{std::string(family), "t", "c", std::move(devices)}};
}

inline std::string comparing(std::string_view left, std::string_view right, std::string_view op = "==") {
  return fmt::format(R"({{"match": {{"op": "{}", "left": {}, "right": {}}}}})", op, left, right);
}

inline std::string meta(std::string_view key) { return fmt::format(R"({{"meta": {{"key": "{}"}}}})", key); }
inline std::string ct(std::string_view key) { return fmt::format(R"({{"ct": {{"key": "{}"}}}})", key); }
inline std::string payload(std::string_view protocol, std::string_view field) {
  return fmt::format(R"({{"payload": {{"protocol": "{}", "field": "{}"}}}})", protocol, field);
}

/// "" for none, "yes" if the rules surely drop, "maybe" if they may.
inline std::string answer_to(const std::optional<hostnet::firewall::Drop>& found) {
  return !found ? "" : found->certain ? "yes" : "maybe";
}

}  // namespace test
