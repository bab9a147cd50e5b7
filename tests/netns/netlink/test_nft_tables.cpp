// Reading back what nft and iptables-nft made.
#include "netlink/nft_hooks.hpp"
#include "netlink/nft_tables.hpp"
#include "support/expect_error.hpp"
#include "support/netns.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::netlink;
using test::NetNs;

namespace {

NftChain chain(const NetNs& netns, const std::string& name) {
  const auto chains = netns.run(nft_chains);
  const auto found =
      std::find_if(chains.begin(), chains.end(), [&](const NftChain& each) { return each.name == name; });
  if (found == chains.end()) throw std::runtime_error("no chain " + name);
  return *found;
}

std::vector<NftRule> rules(const NetNs& netns, const std::string& chain_name) {
  const auto in = chain(netns, chain_name);
  return netns.run([&] { return nft_rules(in); });
}

// The one rule of a chain with just that rule in it.
NftRule only_rule(const std::string& text, const std::string& family = "inet") {
  const NetNs host;
  host.nft(
      fmt::format("table {} t {{ chain c {{ type filter hook input priority 0; {}; }}; }}", family, text));
  const auto found = rules(host, "c");
  REQUIRE(found.size() == 1);
  return found[0];
}

NftRule only_iptables_rule(const std::string& arguments) {
  const NetNs host;
  host.exec("iptables-nft -A INPUT " + arguments);
  const auto found = rules(host, "INPUT");
  REQUIRE(found.size() == 1);
  return found[0];
}

}  // namespace

TEST_CASE("an empty ruleset has no chains, and listing creates none") {
  const NetNs host;
  CHECK(host.run(nft_chains).empty());
  CHECK(host.exec("nft list ruleset").empty());
}

TEST_CASE("a dormant table has no hook and no chain, and a chain's devices are known") {
  const NetNs host;
  host.exec("ip link add br7 type bridge");
  host.nft(
      "table inet awake { chain c { type filter hook input priority 0; }; chain no_base { accept; }; }\n"
      "table inet asleep { flags dormant; chain c { type filter hook input priority 0; drop; }; }\n"
      "table netdev by_device { chain one { type filter hook ingress device lo priority 0; };"
      " chain two { type filter hook ingress devices = { lo, br7 } priority 0; };"
      " chain out { type filter hook egress device br7 priority 0; }; }\n");
  auto hooks = host.run(nft_hooks);
  for (auto& one : hooks) std::ranges::sort(one.devices);
  CHECK(hooks == std::vector<NftHook>{{"inet", "awake", "c", {}},
                                      {"netdev", "by_device", "one", {"lo"}},
                                      {"netdev", "by_device", "two", {"br7", "lo"}},
                                      {"netdev", "by_device", "out", {"br7"}}});
  const auto chains = host.run(nft_chains);
  CHECK(std::ranges::none_of(chains, [](const NftChain& one) { return one.table == "asleep"; }));
  CHECK(std::ranges::count(chains, std::string("awake"), &NftChain::table) == 2);
}

TEST_CASE("each transaction increments the generation by one, and nothing else does") {
  const NetNs host;
  host.run([&] {
    NftTables tables;
    const auto first = tables.generation();
    CHECK(tables.generation() == first);
    host.nft("table ip a { chain c { }; set s { type ifname; }; }; table ip b { }");
    CHECK(tables.generation() == first + 1);
    host.exec("nft list ruleset; iptables-nft-save");
    CHECK(tables.generation() == first + 1);
    host.nft("delete table ip a");
    CHECK(tables.generation() == first + 2);
    CHECK(host.try_exec("nft delete table ip a").status != 0);
    return 0;
  });
}

TEST_CASE("a table's flags, or the table's absence") {
  const NetNs host;
  host.nft("table ip awake { }; table ip asleep { flags dormant; }; table inet other { }");
  host.run([] {
    NftTables tables;
    CHECK(tables.flags("awake") == 0U);
    CHECK(tables.flags("asleep") == 1U);
    CHECK_FALSE(tables.flags("other"));
    return 0;
  });
}

TEST_CASE("without privilege, reading the generation gives an error") {
  const NetNs host;
  host.run([] {
    test::run_unprivileged([] {
      CHECK(test::error_of([] { NftTables(); }).code() == Errc::not_authorised);
      return 0;
    });
    return 0;
  });
}

TEST_CASE("chains of ip and inet, with their hooks") {
  const NetNs host;
  host.nft(R"(
    table inet mine {
      chain input { type filter hook input priority filter - 10; policy drop; tcp dport 22 accept; jump other; }
      chain other { counter; }
    }
    table ip nats { chain pre { type nat hook prerouting priority dstnat; }; }
    table ip6 six { chain input { type filter hook input priority 0; policy drop; }; }
    table arp a { chain input { type filter hook input priority 0; }; }
    table bridge b { chain pre { type filter hook prerouting priority 0; }; })");
  CHECK(host.run(nft_chains).size() == 3);
  CHECK(chain(host, "input") == NftChain{.family = "inet",
                                         .table = "mine",
                                         .name = "input",
                                         .base = true,
                                         .type = "filter",
                                         .hook = 1,
                                         .priority = -10,
                                         .drop_policy = true,
                                         .use = 2});
  const auto other = chain(host, "other");
  CHECK_FALSE(other.base);
  CHECK_FALSE(other.drop_policy);
  CHECK(other.use == 2);  // a rule, and the jump here
  const auto pre = chain(host, "pre");
  CHECK(pre.family == "ip");
  CHECK(pre.table == "nats");
  CHECK(pre.type == "nat");
  CHECK(pre.hook == 0);
  CHECK(pre.priority == -100);
  CHECK_FALSE(pre.drop_policy);
}

TEST_CASE("iptables-nft's INPUT with a drop policy and a rule for DNATed traffic") {
  const NetNs host;
  host.exec("iptables-nft -P INPUT DROP");
  host.exec("iptables-nft -A INPUT -i lo -j ACCEPT");
  host.exec("iptables-nft -A INPUT -m conntrack --ctstate DNAT -j ACCEPT -m comment --comment 'let it in'");
  const auto input = chain(host, "INPUT");
  CHECK(input.family == "ip");
  CHECK(input.table == "filter");
  CHECK(input.base);
  CHECK(input.type == "filter");
  CHECK(input.hook == 1);
  CHECK(input.priority == 0);
  CHECK(input.drop_policy);
  const auto found = rules(host, "INPUT");
  REQUIRE(found.size() == 2);
  CHECK(found[0].accepts);
  CHECK(found[0].iifname == "lo");
  CHECK(found[0].other_matches == 0);
  CHECK_FALSE(found[0].wants_dnat_status);
  CHECK(found[1].accepts);
  CHECK(found[1].wants_dnat_status);
  CHECK(found[1].other_matches == 0);
  CHECK_FALSE(found[1].iifname);
  CHECK(found[1].comment == "let it in");
}

TEST_CASE("the forms of a rule that accepts DNATed packets") {
  for (const std::string text :
       {"ct status dnat accept", "ct status dnat counter accept", "counter ct status dnat log accept",
        "ct status & dnat == dnat accept", "ct status & dnat != 0 accept", "ct status snat,dnat accept"}) {
    CAPTURE(text);
    const auto rule = only_rule(text);
    CHECK(rule.accepts);
    CHECK(rule.wants_dnat_status);
    CHECK(rule.other_matches == 0);
    CHECK_FALSE(rule.iifname);
  }
}

TEST_CASE("similar rules do not count as accepting all DNATed packets") {
  for (const std::string text :
       {"ct status & dnat == 0 accept", "ct status snat accept", "ct status == dnat accept",
        "ct state new accept", "ct status & (dnat | snat) == (dnat | snat) accept",
        "ct mark & 0x20 != 0 accept"}) {
    CAPTURE(text);
    const auto rule = only_rule(text);
    CHECK(rule.accepts);
    CHECK_FALSE(rule.wants_dnat_status);
    CHECK(rule.other_matches == 1);
  }
  const auto drop = only_rule("ct status dnat drop");
  CHECK_FALSE(drop.accepts);
  CHECK(drop.wants_dnat_status);
  const auto more = only_rule("ct status dnat tcp dport 80 accept");
  CHECK(more.accepts);
  CHECK(more.wants_dnat_status);
  CHECK(more.other_matches == 2);  // the protocol and the port
  CHECK(only_rule("ct status dnat limit rate 5/second accept").other_matches == 1);
}

TEST_CASE("input interfaces: exact, by prefix, negated, in a set") {
  CHECK(only_rule("iifname \"docker0\" accept").iifname == "docker0");
  CHECK(only_rule("iifname \"docker*\" accept").iifname == "docker*");
  CHECK(only_rule("iifname \"fifteen-bytes-0\" accept").iifname == "fifteen-bytes-0");
  CHECK(only_rule("iifname \"br-0123456789*\" accept").iifname == "br-0123456789*");
  CHECK(only_rule("iifname \"docker0\" accept").other_matches == 0);
  CHECK(only_rule("iifname \"docker0\" accept", "ip").iifname == "docker0");
  const auto both = only_rule("iifname \"docker0\" ct status dnat accept");
  CHECK(both.iifname == "docker0");
  CHECK(both.wants_dnat_status);
  CHECK(both.other_matches == 0);
  for (const std::string text :
       {"iifname != \"docker0\" accept", "iifname { \"a\", \"b\" } accept", "iifname vmap { \"a\" : accept }",
        "oifname \"docker0\" accept", "iif lo accept"}) {
    CAPTURE(text);
    CHECK_FALSE(only_rule(text).iifname);
    CHECK(only_rule(text).other_matches == 1);
  }
}

TEST_CASE("the same rules from iptables-nft") {
  CHECK(only_iptables_rule("-i docker0 -j ACCEPT").iifname == "docker0");
  CHECK(only_iptables_rule("-i docker+ -j ACCEPT").iifname == "docker*");
  const auto negated = only_iptables_rule("! -i docker0 -j ACCEPT");
  CHECK_FALSE(negated.iifname);
  CHECK(negated.other_matches == 1);
  const auto several = only_iptables_rule("-m conntrack --ctstate NEW,DNAT -j ACCEPT");
  CHECK(several.wants_dnat_status);
  CHECK(several.other_matches == 0);
  for (const std::string text :
       {"-m conntrack ! --ctstate DNAT -j ACCEPT", "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-m conntrack --ctstate DNAT --ctorigdst 198.18.5.1 -j ACCEPT"}) {
    CAPTURE(text);
    const auto rule = only_iptables_rule(text);
    CHECK(rule.accepts);
    CHECK_FALSE(rule.wants_dnat_status);
    CHECK(rule.other_matches == 1);
  }
  CHECK_FALSE(only_iptables_rule("-j LOG").accepts);
  CHECK(only_iptables_rule("-j LOG").other_matches == 0);
  CHECK(only_iptables_rule("-p tcp --dport 80 -j ACCEPT").other_matches >= 1);
}

TEST_CASE("comments, verdicts other than accept, and rules in order") {
  const NetNs host;
  host.nft(R"(table inet t {
    chain sub { }
    chain c { type filter hook input priority 0;
      accept comment "first"
      jump sub
      drop
      mark set 1 ct mark set 2 accept
    }; })");
  const auto found = rules(host, "c");
  REQUIRE(found.size() == 4);
  CHECK(found[0].comment == "first");
  CHECK(found[0].accepts);
  CHECK_FALSE(found[1].accepts);
  CHECK(found[1].comment.empty());
  CHECK_FALSE(found[2].accepts);
  CHECK(found[3].accepts);
  for (const auto& rule : found) CHECK(rule.other_matches == 0);
}

TEST_CASE("rules belong to that chain, and a chain that is gone has none") {
  const NetNs host;
  host.nft(
      "table ip t { chain c { accept; }; chain d { drop; drop; }; }\ntable inet t { chain c { drop; drop; "
      "drop; }; }");
  const auto size = [&](const std::string& family, const std::string& name) {
    return host.run([&] { return nft_rules({.family = family, .table = "t", .name = name}); }).size();
  };
  CHECK(size("ip", "c") == 1);
  CHECK(size("ip", "d") == 2);
  CHECK(size("inet", "c") == 3);
  CHECK(size("ip", "e") == 0);
  host.exec("nft flush ruleset");
  CHECK(size("ip", "c") == 0);
}

TEST_CASE("thousands of rules") {
  const NetNs host;
  std::string text = "table ip t { chain c { type filter hook input priority 0;\n";
  for (int i = 0; i < 5000; ++i) text += fmt::format("iifname \"i{}\" ct status dnat accept\n", i);
  host.nft(text + "}; }");
  const auto found = rules(host, "c");
  REQUIRE(found.size() == 5000);
  CHECK(found[4999].iifname == "i4999");
}

TEST_CASE("without privilege it is refused") {
  const NetNs host;
  host.run([] {
    test::run_unprivileged([] {
      const auto error = test::error_of([] { nft_chains(); });
      CHECK(error.code() == Errc::not_authorised);
      CHECK(error.what() == std::string("list nf_tables chains: Operation not permitted"));
      const auto of_rules =
          test::error_of([] { nft_rules({.family = "ip", .table = "filter", .name = "INPUT"}); });
      CHECK(of_rules.what() ==
            std::string("list rules of nf_tables chain ip filter INPUT: Operation not permitted"));
    });
  });
}
