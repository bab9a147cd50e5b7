// nft commands that turn the current state into the plan.
#include "firewall/nft_script.hpp"
#include "support/addresses.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace hostnet;
using namespace hostnet::firewall;
using namespace hostnet::firewall::nft;
using test::ip;

namespace {

const std::vector<Guard> kGuards{{"br0", {ip("10.0.0.1"), ip("172.17.0.1")}}};

Forward lease_forward(const char* lease, std::uint16_t listen, std::uint16_t host) {
  return {"br0", ip("10.0.0.1"), std::nullopt, Protocol::tcp, listen, host, lease};
}

std::string apply(State& state, const TablePlan& plan) {
  auto change = change_to(plan, state);
  auto commands = change.commands;
  note(state, plan.table, std::move(change));
  return commands;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the raw part: the table, its set and its chain in one transaction, then nothing more to do") {
  const auto wanted = plan(kGuards, {}).of(Table::raw);
  State state;
  CHECK(apply(state, wanted) ==
        "add table ip tc_hostnet\n"
        "add set ip tc_hostnet bridges_raw { type ifname; }\n"
        "add element ip tc_hostnet bridges_raw { \"br0\" }\n"
        "add chain ip tc_hostnet guard_raw { type filter hook prerouting priority -310; policy accept; }\n"
        "add rule ip tc_hostnet guard_raw iifname @bridges_raw ip daddr 127.0.0.0/8 counter drop comment "
        "\"tc-hostnet:guard\"\n"
        "add rule ip tc_hostnet guard_raw iifname @bridges_raw ip saddr 127.0.0.0/8 counter drop comment "
        "\"tc-hostnet:guard\"\n");
  CHECK(apply(state, wanted).empty());
  CHECK(guarded_bridges(state) == std::vector<std::string>{"br0"});
}

TEST_CASE("permitted traffic is accepted before the unconditional drop") {
  const auto input = to_nft(plan(kGuards, {}).of(Table::filter));
  CHECK(has(input, "\"br0\" . 10.0.0.1"));
  CHECK(has(input, "\"br0\" . 172.17.0.1"));
  CHECK(input.find("ct original ip daddr @gateways_in accept") <
        input.find("ip daddr 127.0.0.0/8 counter drop"));
  CHECK(input.find("ip daddr 127.0.0.0/8 ct status expected counter drop") <
        input.find("ct original ip daddr @gateways_in accept"));
  const auto output = to_nft(plan(kGuards, {}).of(Table::mangle));
  CHECK(output.find("ip saddr 127.0.0.0/8 ct status expected counter drop") <
        output.find("ct status dnat accept"));
  CHECK(output.find("ct status dnat accept") < output.find("ip saddr 127.0.0.0/8 counter drop"));
}

TEST_CASE("a forward goes into the map of its specificity") {
  auto for_source = lease_forward("0a", 80, 8080);
  for_source.source = ip("10.0.0.2");
  auto for_mac = for_source;
  for_mac.mac = Mac::parse("02:00:00:00:00:01");
  for_mac.source.reset();
  auto for_both = for_mac;
  for_both.source = ip("10.0.0.2");
  auto for_both_udp = for_both;
  for_both_udp.protocol = Protocol::udp;
  const std::vector<Forward> forwards{lease_forward("0a", 80, 8080), for_source, for_mac, for_both,
                                      for_both_udp};
  const auto text = to_nft(plan(kGuards, forwards).of(Table::nat));
  const std::string rest = " comment \"tc-hostnet:0a\" : 127.0.0.1 . 8080 }\n";
  CHECK(has(text, "by_bridge { \"br0\" . 10.0.0.1 . 6 . 80" + rest));
  CHECK(has(text, "by_source { \"br0\" . 10.0.0.2 . 10.0.0.1 . 6 . 80" + rest));
  CHECK(has(text, "by_mac { \"br0\" . 02:00:00:00:00:01 . 10.0.0.1 . 6 . 80" + rest));
  CHECK(has(text, "by_mac_source_tcp { \"br0\" . 02:00:00:00:00:01 . 10.0.0.2 . 10.0.0.1 . 80" + rest));
  CHECK(has(text, "by_mac_source_udp { \"br0\" . 02:00:00:00:00:01 . 10.0.0.2 . 10.0.0.1 . 80" + rest));
  // The lookups run from the narrowest to the widest.
  std::size_t last = 0;
  for (const char* const map : {"map @by_mac_source_tcp", "map @by_mac_source_udp", "map @by_source",
                                "map @by_mac ", "map @by_bridge"}) {
    CAPTURE(map);
    CHECK(text.find(map) > last);
    last = text.find(map);
  }
}

TEST_CASE("adding or removing one forward changes one element") {
  std::vector<Forward> forwards;
  for (std::uint16_t i = 0; i < 100; ++i)
    forwards.push_back(lease_forward("0a", static_cast<std::uint16_t>(7000 + i), 80));
  State state;
  apply(state, plan(kGuards, forwards).of(Table::nat));
  forwards.push_back(lease_forward("0b", 9000, 81));
  CHECK(apply(state, plan(kGuards, forwards).of(Table::nat)) ==
        "add element ip tc_hostnet by_bridge { \"br0\" . 10.0.0.1 . 6 . 9000 comment \"tc-hostnet:0b\" : "
        "127.0.0.1 . 81 }\n");
  forwards.pop_back();
  CHECK(apply(state, plan(kGuards, forwards).of(Table::nat)) ==
        "delete element ip tc_hostnet by_bridge { \"br0\" . 10.0.0.1 . 6 . 9000 }\n");
  // A forward with another destination is another forward.
  forwards.front().host = 99;
  CHECK(apply(state, plan(kGuards, forwards).of(Table::nat)) ==
        "delete element ip tc_hostnet by_bridge { \"br0\" . 10.0.0.1 . 6 . 7000 }\n"
        "add element ip tc_hostnet by_bridge { \"br0\" . 10.0.0.1 . 6 . 7000 comment \"tc-hostnet:0a\" : "
        "127.0.0.1 . 99 }\n");
}

TEST_CASE("a script from the previous plan has the effect of one from the current state") {
  std::mt19937 random(7);
  const auto some_forwards = [&random] {
    std::vector<Forward> forwards;
    for (std::uint16_t port = 1; port <= 40; ++port) {
      if (random() % 3 == 0) continue;
      forwards.push_back(lease_forward(random() % 8 == 0 ? "0b" : "0a", port, random() % 8 == 0 ? 81 : 80));
      if (random() % 4 == 0) forwards.back().source = ip("10.0.0.2");
      if (random() % 4 == 0) forwards.back().mac = Mac::parse("02:00:00:00:00:01");
      if (random() % 4 == 0) forwards.back().protocol = Protocol::udp;
    }
    return forwards;
  };
  auto from = plan(kGuards, std::vector{lease_forward("0a", 1, 80)}).of(Table::nat);
  State state;
  apply(state, from);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    auto forwards = some_forwards();
    if (forwards.empty()) continue;
    const auto to = plan(kGuards, forwards).of(Table::nat);
    auto change = change_between(from, to);
    CHECK(change.commands.empty() == change_to(to, state).commands.empty());
    note(state, Table::nat, std::move(change));
    CHECK(change_to(to, state).commands.empty());
    from = to;
  }
}

TEST_CASE("removing a part leaves the others, and removing the last removes the table") {
  State state;
  for (const auto table : kTables)
    apply(state, plan(kGuards, std::vector{lease_forward("0a", 80, 80)}).of(table));
  const auto nothing = plan({}, {});
  const auto text = apply(state, nothing.of(Table::filter));
  CHECK(text ==
        "flush chain ip tc_hostnet guard_in\ndelete chain ip tc_hostnet guard_in\n"
        "delete set ip tc_hostnet bridges_in\ndelete set ip tc_hostnet gateways_in\n");
  CHECK(apply(state, nothing.of(Table::filter)).empty());
  apply(state, nothing.of(Table::nat));
  apply(state, nothing.of(Table::mangle));
  CHECK(apply(state, nothing.of(Table::raw)) == "delete table ip tc_hostnet\n");
  CHECK(apply(state, nothing.of(Table::raw)).empty());
  CHECK_FALSE(state.table_there);
}

TEST_CASE("damage by others is repaired with minimal changes") {
  const auto wanted = plan(kGuards, {}).of(Table::raw);
  State whole;
  apply(whole, wanted);
  auto& raw = whole.parts[0];
  SUBCASE("missing rules") {
    raw.chain_right = false;
    const auto text = apply(whole, wanted);
    CHECK(has(text, "flush chain ip tc_hostnet guard_raw\nadd rule"));
    CHECK_FALSE(has(text, "delete chain"));
    CHECK_FALSE(has(text, "add set"));
  }
  SUBCASE("a chain on another hook") {
    raw.chain_right = raw.chain_hooked = false;
    CHECK(has(apply(whole, wanted), "delete chain ip tc_hostnet guard_raw\nadd chain"));
  }
  SUBCASE("a set of another type goes with its chain") {
    raw.sets[0].right = false;
    raw.sets[0].is_map = true;
    const auto text = apply(whole, wanted);
    CHECK(text.find("delete chain") < text.find("delete map ip tc_hostnet bridges_raw"));
    CHECK(text.find("delete map") < text.find("add set ip tc_hostnet bridges_raw"));
    CHECK(has(text, "add element ip tc_hostnet bridges_raw { \"br0\" }"));
    CHECK(has(text, "add chain ip tc_hostnet guard_raw"));
  }
  CHECK(apply(whole, wanted).empty());
}
