// Parsing of libnftables' listing.
#include "firewall/nft_script.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace hostnet;
using namespace hostnet::firewall;
using namespace hostnet::firewall::nft;

namespace {

// The output of version 1.0.6, without the parts that are ignored.
std::string raw_rule(const char* field) {
  return fmt::format(
      R"({{"rule": {{"chain": "guard_raw", "comment": "tc-hostnet:guard", "expr": [
        {{"match": {{"op": "==", "left": {{"meta": {{"key": "iifname"}}}}, "right": "@bridges_raw"}}}},
        {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "{}"}}}},
                     "right": {{"prefix": {{"addr": "127.0.0.0", "len": 8}}}}}}}},
        {{"counter": {{"packets": 3, "bytes": 9}}}}, {{"drop": null}}]}}}})",
      field);
}

std::string listing(const std::string& objects) {
  return R"({"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "tc_hostnet"}}, )" +
         objects + "]}";
}

const std::string kChain =
    R"({"chain": {"name": "guard_raw", "type": "filter", "hook": "prerouting", "prio": -310, "policy": "accept"}})";
const std::string kBridges = R"({"set": {"name": "bridges_raw", "type": "ifname", "elem": ["br0", "br-1"]}})";

const PartState& raw_of(const State& state) { return state.parts[0]; }

std::string map_of(const std::string& type) {
  return fmt::format(
      R"({{"map": {{"name": "by_source", "type": {}, "map": "ipv4_addr . inet_service", "elem": [
        [{{"elem": {{"val": {{"concat": ["br0", "10.0.0.2", "10.0.0.1", 17, 53]}}, "comment": "tc-hostnet:0a",
                     "counter": {{"packets": 7, "bytes": 420}}}}}}, {{"concat": ["127.0.0.1", 5353]}}],
        [{{"concat": ["br0", "10.0.0.3", "10.0.0.1", 6, 80]}}, {{"concat": ["127.0.0.1", 8080]}}]]}}}})",
      type);
}

const std::string kForwardType = R"(["ifname", "ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"])";

}  // namespace

TEST_CASE("a whole guard is recognised, and the plan finds nothing to do") {
  const auto state =
      read_state(listing(kBridges + "," + kChain + "," + raw_rule("daddr") + "," + raw_rule("saddr")));
  CHECK(state.table_there);
  CHECK(raw_of(state).chain_right);
  CHECK(guarded_bridges(state) == std::vector<std::string>{"br-1", "br0"});
  const std::vector<Guard> guards{{"br0", {Ipv4{1}}}, {"br-1", {Ipv4{1}}}};
  CHECK(change_to(plan(guards, {}).of(Table::raw), state).commands.empty());
}

TEST_CASE("an incomplete guard does not count") {
  const auto daddr = raw_rule("daddr");
  const auto saddr = raw_rule("saddr");
  auto without_comment = saddr;
  without_comment.replace(without_comment.find("tc-hostnet:guard"), 16, "something");
  auto accepts = saddr;
  accepts.replace(accepts.find("\"drop\""), 6, "\"accept\"");
  auto elsewhere = kChain;
  elsewhere.replace(elsewhere.find("-310"), 4, "-100");
  auto drops_all = kChain;
  drops_all.replace(drops_all.find("\"accept\""), 8, "\"drop\"");
  for (const auto& objects :
       {kChain + "," + daddr, kChain + "," + saddr + "," + daddr,
        kChain + "," + daddr + "," + without_comment, kChain + "," + daddr + "," + accepts,
        elsewhere + "," + daddr + "," + saddr, drops_all + "," + daddr + "," + saddr,
        kChain + "," + daddr + "," + saddr + "," + saddr}) {
    CAPTURE(objects);
    const auto state = read_state(listing(kBridges + "," + objects));
    CHECK(raw_of(state).chain_there);
    CHECK_FALSE(raw_of(state).chain_right);
    CHECK(guarded_bridges(state).empty());
  }
}

TEST_CASE("forwards are read with their counters") {
  const auto forwards = read_forwards(listing(map_of(kForwardType)));
  REQUIRE(forwards.size() == 2);
  CHECK(forwards[0].forward.bridge == "br0");
  CHECK(forwards[0].forward.source == Ipv4::parse("10.0.0.2"));
  CHECK(forwards[0].forward.gateway == Ipv4::parse("10.0.0.1").value());
  CHECK(forwards[0].forward.protocol == Protocol::udp);
  CHECK(forwards[0].forward.listen == 53);
  CHECK(forwards[0].forward.host == 5353);
  CHECK(forwards[0].packets == 7);
  CHECK(forwards[0].bytes == 420);
  CHECK(forwards[1].forward.protocol == Protocol::tcp);
  CHECK(forwards[1].packets == 0);
  const auto state = read_state(listing(map_of(kForwardType)));
  const auto& elements = state.parts[3].sets[2].elements;
  CHECK(elements.at("\"br0\" . 10.0.0.2 . 10.0.0.1 . 17 . 53") ==
        " comment \"tc-hostnet:0a\" : 127.0.0.1 . 5353");
  CHECK(elements.at("\"br0\" . 10.0.0.3 . 10.0.0.1 . 6 . 80") == " : 127.0.0.1 . 8080");
}

TEST_CASE("forwards for an Ethernet address, for UDP, and for a whole bridge") {
  const auto map = [](const char* name, const char* type, const char* element) {
    return fmt::format(
        R"({{"map": {{"name": "{}", "type": {}, "map": ["ipv4_addr", "inet_service"], "elem": [[{},
        {{"concat": ["127.0.0.1", 5353]}}]]}}}})",
        name, type, element);
  };
  const auto one = [](const std::string& objects) {
    const auto forwards = read_forwards(listing(objects));
    REQUIRE(forwards.size() == 1);
    return forwards.front().forward;
  };
  const auto by_both =
      one(map("by_mac_source_udp", R"(["ifname", "ether_addr", "ipv4_addr", "ipv4_addr", "inet_service"])",
              R"({"concat": ["br0", "02:00:00:00:00:07", "10.0.0.2", "10.0.0.1", 53]})"));
  CHECK(by_both.protocol == Protocol::udp);
  CHECK(by_both.mac == Mac::parse("02:00:00:00:00:07"));
  CHECK(by_both.source == Ipv4::parse("10.0.0.2"));
  CHECK(by_both.gateway == Ipv4::parse("10.0.0.1").value());
  CHECK(by_both.host == 5353);
  const auto by_bridge = one(map("by_bridge", R"("ifname . ipv4_addr . inet_proto . inet_service")",
                                 R"({"concat": ["br0", "10.0.0.1", 17, 53]})"));
  CHECK(by_bridge.protocol == Protocol::udp);
  CHECK_FALSE(by_bridge.source);
  CHECK_FALSE(by_bridge.mac);
  CHECK(by_bridge.gateway == Ipv4::parse("10.0.0.1").value());
  const auto damaged = one(map("by_bridge", R"("ifname . ipv4_addr . inet_proto . inet_service")",
                               R"({"concat": [7, 8, "tcp", "domain"]})"));
  CHECK(damaged.bridge.empty());
  CHECK(damaged.gateway == Ipv4{});
  CHECK(damaged.protocol == Protocol::tcp);
  CHECK(damaged.listen == 0);
}

TEST_CASE("what is no element of a map of ours is no forward") {
  CHECK(read_forwards(listing(kBridges)).empty());
  const auto with = [](const char* kind, const char* element) {
    return listing(fmt::format(
        R"({{"{}": {{"name": "by_bridge", "type": ["ifname", "ipv4_addr", "inet_proto", "inet_service"],
        "map": "ipv4_addr . inet_service", "elem": [{}]}}}})",
        kind, element));
  };
  const auto right = R"([{"concat": ["br0", "10.0.0.1", 6, 80]}, {"concat": ["127.0.0.1", 80]}])";
  CHECK(read_forwards(with("map", right)).size() == 1);
  CHECK(read_forwards(with("set", right)).empty());
  CHECK(read_forwards(with("map", R"([{"concat": ["br0", "10.0.0.1", 6]}, {"concat": ["127.0.0.1", 80]}])"))
            .empty());
  CHECK(read_forwards(with("map", R"([{"concat": ["br0", "10.0.0.1", 6, 80]}, "127.0.0.1"])")).empty());
  // It is surplus all the same: what is there and not planned goes.
  const auto surplus =
      read_state(with("map", R"([{"concat": ["br0", "10.0.0.1", 6, 80, "x"]}, "127.0.0.1"])"));
  CHECK(surplus.parts[3].sets[4].elements.at("\"br0\" . 10.0.0.1 . 6 . 80 . x") == " : 127.0.0.1");
}

TEST_CASE("a set or map of other types is present but wrong") {
  const auto state = read_state(listing(map_of(R"(["ipv4_addr", "inet_service"])")));
  CHECK(state.parts[3].sets[2].there);
  CHECK_FALSE(state.parts[3].sets[2].right);
  const auto is_right = [](const std::string& object, std::size_t part, std::size_t set) {
    const auto found = read_state(listing(object)).parts[part].sets[set];
    CHECK(found.there);
    return found.right;
  };
  CHECK(is_right(R"({"set": {"name": "bridges_raw", "type": "ifname"}})", 0, 0));  // without elements
  CHECK_FALSE(is_right(R"({"set": {"name": "bridges_raw", "type": "ipv4_addr"}})", 0, 0));
  CHECK_FALSE(is_right(R"({"map": {"name": "bridges_raw", "type": "ifname", "map": "verdict"}})", 0, 0));
  auto leads_elsewhere = map_of(kForwardType);
  leads_elsewhere.replace(leads_elsewhere.find("ipv4_addr . inet_service"), 24, "ipv4_addr");
  CHECK_FALSE(is_right(leads_elsewhere, 3, 2));
}

TEST_CASE("a chain of another type or hook is present but not hooked") {
  const auto changed = [](const char* what, const char* instead) {
    auto text = kChain;
    text.replace(text.find(what), std::string_view(what).size(), instead);
    return raw_of(read_state(listing(text)));
  };
  CHECK(raw_of(read_state(listing(kChain))).chain_hooked);
  CHECK(changed(R"("policy": "accept")", R"("handle": 3)").chain_hooked);  // not listed: accept
  CHECK_FALSE(changed("filter", "route").chain_hooked);
  CHECK_FALSE(changed("prerouting", "output").chain_hooked);
  CHECK(changed("prerouting", "output").chain_there);
}

TEST_CASE("an invalid listing is an error, not an empty table") {
  for (
      const char* const text :
      {"", "[]", "{}", "{\"nftables\": 1}", "{\"nftables\": [",
       R"({"nftables": [{"set": {"name": "bridges_raw", "type": "ifname", "elem": 7}}]})",
       R"({"nftables": [{"set": {"name": "bridges_raw", "type": "ifname", "elem": [{"elem": {"comment": "x"}}]}}]})",
       R"({"nftables": [{"map": {"name": "by_bridge", "type": ["ifname", "ipv4_addr",
      "inet_proto", "inet_service"], "map": ["ipv4_addr", "inet_service"], "elem": [[{"concat": 5}]]}}]})"}) {
    CAPTURE(text);
    CHECK(test::error_of([&] { read_state(text); }).code() == Errc::failure);
  }
}
