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

TEST_CASE("a map of other types is present but wrong") {
  const auto state = read_state(listing(map_of(R"(["ipv4_addr", "inet_service"])")));
  CHECK(state.parts[3].sets[2].there);
  CHECK_FALSE(state.parts[3].sets[2].right);
}

TEST_CASE("an invalid listing is an error, not an empty table") {
  for (const char* const text :
       {"", "[]", "{}", "{\"nftables\": 1}", "{\"nftables\": [",
        R"({"nftables": [{"map": {"name": "by_bridge", "type": ["ifname", "ipv4_addr",
      "inet_proto", "inet_service"], "map": ["ipv4_addr", "inet_service"], "elem": [[{"concat": 5}]]}}]})"}) {
    CAPTURE(text);
    CHECK(test::error_of([&] { read_state(text); }).code() == Errc::failure);
  }
}
