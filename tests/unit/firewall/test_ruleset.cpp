// The plan: which rules, in which order, in which form.
#include "firewall/ruleset.hpp"
#include "support/addresses.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::firewall;
using test::ip;

namespace {

Forward forward(const char* lease, std::uint16_t listen, std::uint16_t host,
                std::optional<Ipv4> source = {}) {
  return {"br0", ip("10.0.0.1"), source, Protocol::tcp, listen, host, lease};
}

}  // namespace

TEST_CASE("no lease means no rule") {
  const auto ruleset = plan({}, {});
  for (const auto table : kTables) CHECK(ruleset.of(table).empty());
}

TEST_CASE("one forward on one bridge: the rules as tested in the kernel") {
  const std::vector<Guard> guards{{"br0", {ip("10.0.0.1")}}};
  const std::vector<Forward> forwards{forward("0a", 8088, 8088)};
  const auto ruleset = plan(guards, forwards);
  CHECK(to_iptables_restore(ruleset.of(Table::raw)) ==
        "*raw\n:TCHN-RAW - [0:0]\n"
        "-A PREROUTING -i br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-RAW\n"
        "-A TCHN-RAW -d 127.0.0.0/8 -m comment --comment \"tc-hostnet:guard\" -j DROP\n"
        "-A TCHN-RAW -s 127.0.0.0/8 -m comment --comment \"tc-hostnet:guard\" -j DROP\n"
        "COMMIT\n");
  CHECK(to_iptables_restore(ruleset.of(Table::mangle)) ==
        "*mangle\n:TCHN-POST - [0:0]\n"
        "-A POSTROUTING -o br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-POST\n"
        "-A TCHN-POST -s 127.0.0.0/8 -m conntrack --ctstatus EXPECTED -m comment --comment "
        "\"tc-hostnet:guard\" "
        "-j DROP\n"
        "-A TCHN-POST -s 127.0.0.0/8 -m conntrack ! --ctstate DNAT -m comment --comment \"tc-hostnet:guard\" "
        "-j DROP\n"
        "COMMIT\n");
  CHECK(to_iptables_restore(ruleset.of(Table::filter)) ==
        "*filter\n:TCHN-IN - [0:0]\n"
        "-A INPUT -d 127.0.0.0/8 -i br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-IN\n"
        "-A TCHN-IN -m conntrack --ctstatus EXPECTED -m comment --comment \"tc-hostnet:guard\" -j DROP\n"
        "-A TCHN-IN -i br0 -m conntrack --ctstate DNAT --ctorigdst 10.0.0.1 -m comment --comment "
        "\"tc-hostnet:br0\" "
        "-j ACCEPT\n"
        "-A TCHN-IN -m conntrack --ctdir REPLY -m comment --comment \"tc-hostnet:guard\" -j RETURN\n"
        "-A TCHN-IN -m comment --comment \"tc-hostnet:guard\" -j DROP\n"
        "COMMIT\n");
  CHECK(to_iptables_restore(ruleset.of(Table::nat)) ==
        "*nat\n:TCHN-PRE - [0:0]\n"
        "-A PREROUTING -d 10.0.0.1/32 -i br0 -m comment --comment \"tc-hostnet:br0\" -j TCHN-PRE\n"
        "-A TCHN-PRE -d 10.0.0.1/32 -i br0 -p tcp -m tcp --dport 8088 -m comment --comment \"tc-hostnet:0a\" "
        "-j DNAT --to-destination 127.0.0.1:8088\n"
        "COMMIT\n");
}

TEST_CASE("a rule without a match or a comment is its verdict alone") {
  CHECK(to_iptables({.verdict = {Verdict::Kind::drop, {}, {}}}) == "-j DROP");
  CHECK(to_iptables({.verdict = {Verdict::Kind::jump, "TCHN-IN", {}}}) == "-j TCHN-IN");
}

TEST_CASE("only the gateways of a bridge are entry addresses") {
  const std::vector<Guard> guards{{"br0", {ip("172.17.0.1"), ip("10.0.0.1"), ip("10.0.0.1")}}};
  auto to_default = forward("0a", 80, 80);
  to_default.gateway = ip("172.17.0.1");
  const std::vector<Forward> forwards{forward("0a", 80, 80), to_default};
  const auto ruleset = plan(guards, forwards);
  CHECK(ruleset.of(Table::nat).jumps.size() == 2);
  CHECK(ruleset.of(Table::nat).rules.size() == 2);
  for (const auto& rule : ruleset.of(Table::nat).rules) {
    CHECK(rule.in == "br0");
    REQUIRE(rule.destination);
    CHECK(rule.destination->length == 32);
  }
  CHECK(ruleset.of(Table::filter).rules.size() == 5);  // an accept each, answers, and two drops
}

TEST_CASE("a forward for one source comes before the forward for all sources on that port") {
  const std::vector<Guard> guards{{"br0", {ip("10.0.0.1")}}};
  const std::vector<Forward> forwards{forward("0a", 80, 1111), forward("0b", 80, 2222, ip("10.0.0.2"))};
  const auto rules = plan(guards, forwards).of(Table::nat).rules;
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].verdict.to.port == 2222);
  CHECK(rules[0].source == Prefix{ip("10.0.0.2"), 32});
  CHECK(rules[1].verdict.to.port == 1111);
  CHECK_FALSE(rules[1].source);
}

TEST_CASE("equal forwards of two leases are one rule, named after the first") {
  const std::vector<Guard> guards{{"br0", {ip("10.0.0.1")}}};
  const std::vector<Forward> forwards{forward("0a", 80, 80), forward("0b", 80, 80)};
  const auto rules = plan(guards, forwards).of(Table::nat).rules;
  REQUIRE(rules.size() == 1);
  CHECK(rules[0].comment == "tc-hostnet:0a");
}

TEST_CASE("a guard without forwards guards and rewrites nothing") {
  const std::vector<Guard> guards{{"br0", {ip("10.0.0.1")}}};
  const auto ruleset = plan(guards, {});
  CHECK_FALSE(ruleset.of(Table::raw).empty());
  CHECK_FALSE(ruleset.of(Table::mangle).empty());
  CHECK_FALSE(ruleset.of(Table::filter).empty());
  CHECK(ruleset.of(Table::nat).empty());
}

TEST_CASE("the order of guards and of their gateways does not matter") {
  const Guard a{"br0", {ip("10.0.0.1"), ip("172.17.0.1")}};
  const Guard a_turned{"br0", {ip("172.17.0.1"), ip("10.0.0.1")}};
  const Guard b{"br1", {ip("10.0.1.1")}};
  const auto one = plan(std::vector{a, b}, std::vector{forward("0a", 80, 80)});
  const auto other = plan(std::vector{b, a_turned}, std::vector{forward("0a", 80, 80)});
  for (const auto table : kTables) CHECK(one.of(table) == other.of(table));
}

TEST_CASE("in any plan, no rule accepts or rewrites without its bridge and its gateway") {
  // The safety property itself, over many combinations of guards and forwards.
  for (unsigned bits = 0; bits < 256; ++bits) {
    std::vector<Guard> guards;
    if ((bits & 1) != 0) guards.push_back({"br0", {ip("10.0.0.1")}});
    if ((bits & 2) != 0) guards.push_back({"br1", {ip("10.0.1.1"), ip("172.17.0.1")}});
    std::vector<Forward> forwards;
    if ((bits & 5) == 5) forwards.push_back(forward("0a", 80, 80));
    if ((bits & 9) == 9) forwards.push_back(forward("0b", 81, 80, ip("10.0.0.2")));
    if ((bits & 18) == 18) forwards.push_back({"br1", ip("10.0.1.1"), {}, Protocol::udp, 53, 5353, "0c"});
    if ((bits & 34) == 34) forwards.push_back({"br1", ip("172.17.0.1"), {}, Protocol::tcp, 80, 80, "0d"});
    for (const auto& table : plan(guards, forwards).tables) {
      for (const auto& rule : table.rules) {
        if (rule.verdict.kind == Verdict::Kind::drop) continue;
        if (rule.verdict.kind == Verdict::Kind::leave) {
          CHECK(rule.reply);
          continue;
        }
        CHECK_FALSE(rule.in.empty());
        if (rule.verdict.kind == Verdict::Kind::accept) {
          REQUIRE(rule.dnat_state);
          CHECK_FALSE(rule.dnat_state->negated);
          CHECK(rule.dnat_state->original_destination);
        } else {
          REQUIRE(rule.destination);
          CHECK(rule.destination->length == 32);
          CHECK(rule.destination_port != 0);
          CHECK(rule.verdict.to.address == kLoopback);
        }
      }
      for (const auto& jump : table.jumps) CHECK_FALSE((jump.in.empty() && jump.out.empty()));
      if (table.rules.empty() || table.table == Table::nat) continue;
      CHECK(table.rules.back().verdict.kind == Verdict::Kind::drop);
      if (table.table == Table::raw) continue;
      // Connections expected by a conntrack helper are dropped before any accept.
      CHECK(table.rules.front().expected);
      CHECK(table.rules.front().verdict.kind == Verdict::Kind::drop);
    }
  }
}

TEST_CASE("a forward for one Ethernet address comes before a forward for all") {
  const std::vector<Guard> guards{{"br0", {ip("10.0.0.1")}}};
  auto by_mac = forward("0b", 8088, 9099);
  by_mac.mac = Mac::parse("02:00:00:00:00:07");
  const std::vector<Forward> forwards{forward("0a", 8088, 8088), by_mac};
  const auto rules = plan(guards, forwards).of(Table::nat).rules;
  REQUIRE(rules.size() == 2);
  CHECK(to_iptables(rules[0]) ==
        "-d 10.0.0.1/32 -i br0 -m mac --mac-source 02:00:00:00:00:07 -p tcp -m tcp --dport 8088 -m comment "
        "--comment \"tc-hostnet:0b\" -j DNAT --to-destination 127.0.0.1:9099");
  CHECK_FALSE(rules[1].source_mac);
}
