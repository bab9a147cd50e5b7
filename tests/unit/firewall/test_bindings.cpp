// The table of bindings as text, and its recognition.
#include "firewall/bindings.hpp"
#include "support/addresses.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::firewall;
using test::ip;

namespace {

const BindingPlan kOne{{{ip("198.18.0.2"), "veth0"}}, {ip("198.18.0.1")}};

// As libnftables 1.0.6 lists the table of kOne.
const std::string kListing =
    R"({"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
{"table": {"family": "bridge", "name": "tc_hostnet", "handle": 2}},
{"set": {"family": "bridge", "name": "pinned", "table": "tc_hostnet", "type": "ipv4_addr", "handle": 1, "elem": ["198.18.0.2"]}},
{"set": {"family": "bridge", "name": "gateways", "table": "tc_hostnet", "type": "ipv4_addr", "handle": 2, "elem": ["198.18.0.1"]}},
{"set": {"family": "bridge", "name": "ports", "table": "tc_hostnet", "type": ["ipv4_addr", "ifname"], "handle": 3, "elem": [{"concat": ["198.18.0.2", "veth0"]}]}},
{"chain": {"family": "bridge", "table": "tc_hostnet", "name": "pins", "handle": 4, "type": "filter", "hook": "prerouting", "prio": -310, "policy": "accept"}},
{"chain": {"family": "bridge", "table": "tc_hostnet", "name": "claims", "handle": 5, "type": "filter", "hook": "input", "prio": -310, "policy": "accept"}},
{"rule": {"family": "bridge", "table": "tc_hostnet", "chain": "pins", "handle": 6, "comment": "tc-hostnet:guard", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@pinned"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@gateways"}}, {"match": {"op": "!=", "left": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}, {"meta": {"key": "iifname"}}]}, "right": "@ports"}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}]}},
{"rule": {"family": "bridge", "table": "tc_hostnet", "chain": "pins", "handle": 7, "comment": "tc-hostnet:guard", "expr": [{"match": {"op": "==", "left": {"meta": {"key": "protocol"}}, "right": {"set": ["8021q", "8021ad"]}}}, {"match": {"op": "==", "left": {"&": [{"payload": {"base": "nh", "offset": 0, "len": 16}}, 4095]}, "right": 0}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}]}},
{"rule": {"family": "bridge", "table": "tc_hostnet", "chain": "claims", "handle": 9, "comment": "tc-hostnet:guard", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "arp", "field": "saddr ip"}}, "right": "@pinned"}}, {"match": {"op": "!=", "left": {"concat": [{"payload": {"protocol": "arp", "field": "saddr ip"}}, {"meta": {"key": "iifname"}}]}, "right": "@ports"}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}]}}]})";

std::string with(const std::string& what, const std::string& instead) {
  auto text = kListing;
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), instead);
}

}  // namespace

TEST_CASE("the table of bindings is recognised, and no differing table is") {
  CHECK(nft::is_bindings(kListing, kOne));
  auto other = kOne;
  other.bindings.emplace(ip("198.18.0.3"), "veth1");
  CHECK_FALSE(nft::is_bindings(kListing, other));
  CHECK_FALSE(nft::is_bindings(kListing, BindingPlan{}));
  CHECK_FALSE(nft::is_bindings(with("veth0", "veth1"), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"elem\": [\"198.18.0.1\"]", "\"elem\": []"), kOne));
  CHECK_FALSE(nft::is_bindings(with("-310", "10"), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"policy\": \"accept\"", "\"policy\": \"drop\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("{\"drop\": null}", "{\"accept\": null}"), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"!=\"", "\"==\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("tc-hostnet:guard", "mine"), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"name\": \"ports\"", "\"name\": \"others\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("[{\"concat\": [\"198.18.0.2\", \"veth0\"]}]", "[7]"), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"set\": [\"8021q\"", "\"other\": [\"8021q\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"hook\": \"input\"", "\"hook\": \"forward\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"chain\": \"claims\"", "\"chain\": \"pins\""), kOne));
  CHECK_FALSE(nft::is_bindings(with("\"name\": \"claims\"", "\"name\": \"pins\""), kOne));
  CHECK_FALSE(nft::is_bindings(
      with("\"type\": \"filter\", \"hook\": \"input\"", "\"type\": \"nat\", \"hook\": \"input\""), kOne));
  const auto last = kListing.rfind("]}");
  const auto more = [&](const char* object) {
    return nft::is_bindings(kListing.substr(0, last) + ", " + object + "]}", kOne);
  };
  CHECK(more(R"({"table": {"family": "bridge", "name": "tc_hostnet"}})"));
  CHECK_FALSE(more(R"({"chain": {"name": "third", "type": "filter", "hook": "input", "prio": -310}})"));
  CHECK_FALSE(
      more(R"({"rule": {"chain": "claims", "comment": "tc-hostnet:guard", "expr": [{"accept": null}]}})"));
  CHECK_FALSE(nft::is_bindings(R"({"nftables": []})", kOne));
  // A chain without a policy accepts, and an element may have a comment.
  CHECK(nft::is_bindings(with("\"prio\": -310, \"policy\": \"accept\"", "\"prio\": -310"), kOne));
  CHECK(nft::is_bindings(with("\"elem\": [\"198.18.0.1\"]",
                              "\"elem\": [{\"elem\": {\"val\": \"198.18.0.1\", \"comment\": \"x\"}}]"),
                         kOne));
  // The previous version's form, which matched the outer tag.
  CHECK_FALSE(
      nft::is_bindings(with("\"base\": \"nh\", \"offset\": 0", "\"base\": \"ll\", \"offset\": 112"), kOne));
  CHECK_FALSE(nft::is_bindings("", kOne));
  CHECK_FALSE(nft::is_bindings("[]", kOne));
  CHECK_FALSE(nft::is_bindings("{\"nftables\": 3}", kOne));
  CHECK_FALSE(nft::is_bindings(kListing.substr(0, 900), kOne));
}

TEST_CASE("a change from plan to plan contains only the difference") {
  auto two = kOne;
  two.merge({{{ip("198.18.0.3"), "veth1"}}, {ip("198.18.0.1"), ip("172.17.0.1")}});
  CHECK(nft::bindings_between(kOne, two) ==
        "add element bridge tc_hostnet pinned { 198.18.0.3 }\n"
        "add element bridge tc_hostnet gateways { 172.17.0.1 }\n"
        "add element bridge tc_hostnet ports { 198.18.0.3 . \"veth1\" }\n");
  CHECK(nft::bindings_between(two, kOne) ==
        "delete element bridge tc_hostnet pinned { 198.18.0.3 }\n"
        "delete element bridge tc_hostnet gateways { 172.17.0.1 }\n"
        "delete element bridge tc_hostnet ports { 198.18.0.3 . \"veth1\" }\n");
  CHECK(nft::bindings_between(kOne, kOne).empty());
  const auto whole = nft::bindings_to_nft(two);
  CHECK(whole.starts_with("add table bridge tc_hostnet\ndelete table bridge tc_hostnet\nadd table bridge"));
  CHECK(whole.find("add element bridge tc_hostnet pinned { 198.18.0.2, 198.18.0.3 }") != std::string::npos);
  CHECK(whole.find("ip saddr . iifname != @ports counter drop") != std::string::npos);
}
