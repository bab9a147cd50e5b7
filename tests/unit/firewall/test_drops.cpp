// Which rule drops a connection to an exposed port, from the listings of nft and iptables-save.
#include "unit/firewall/foreign_rules.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::firewall;
using test::base_chain_with;
using test::comparing;
using test::hooks;
using test::passage;

namespace {

constexpr const char* kDport = R"({"payload": {"protocol": "tcp", "field": "dport"}})";
constexpr const char* kSource = R"({"payload": {"protocol": "ip", "field": "saddr"}})";
constexpr const char* kTarget = R"({"payload": {"protocol": "ip", "field": "daddr"}})";
constexpr const char* kIn = R"({"meta": {"key": "iifname"}})";

// "" for none, "yes" if it surely drops, "maybe" if it may.
std::string drops(const std::string& expressions, std::string_view hook = "input", int priority = 0,
                  std::string_view family = "inet", std::string_view more = "",
                  const Passage& of = passage()) {
  return test::answer_to(
      find_drop({.nft = base_chain_with(expressions + R"(, {"drop": null})", hook, priority, family, more),
                 .hooks = hooks(family)},
                of));
}

std::optional<Drop> of_iptables(std::string_view rules, std::string_view table = "filter",
                                std::string_view chain = "INPUT") {
  return find_drop({.iptables_legacy = fmt::format("*{}\n:{} ACCEPT [0:0]\n{}COMMIT\n", table, chain, rules)},
                   passage());
}

}  // namespace

TEST_CASE("nft: ports and addresses are those of the hook, before the DNAT and after it") {
  CHECK(drops(comparing(kDport, "80")) == "yes");
  CHECK(drops(comparing(kDport, "8088")).empty());
  CHECK(drops(comparing(kDport, "8088"), "prerouting", -300) == "yes");
  CHECK(drops(comparing(kDport, "8088"), "prerouting", 0).empty());
  CHECK(drops(comparing(kTarget, R"("127.0.0.1")")) == "yes");
  CHECK(drops(comparing(kTarget, R"("127.0.0.1")"), "prerouting", -300).empty());
  CHECK(drops(comparing(kDport, "8088"), "forward").empty());  // it passes no forward hook
  CHECK(drops(comparing(kDport, "80"), "input", 0, "ip6").empty());
}

TEST_CASE("nft: in the bridge family the address is the gateway's, unless family ip was called") {
  auto calls = passage();
  calls.bridge_calls_iptables = true;
  const auto by_gateway = comparing(kTarget, R"("198.18.0.1")");
  CHECK(drops(by_gateway, "input", 0, "bridge") == "yes");
  CHECK(drops(by_gateway, "input", 0, "bridge", "", calls).empty());
  CHECK(drops(by_gateway, "prerouting", -300, "bridge", "", calls) == "yes");
  CHECK(drops(comparing(kIn, R"("veth1")"), "input", 0, "bridge") == "yes");
  CHECK(drops(comparing(kIn, R"("br0")"), "input", 0, "bridge").empty());
}

TEST_CASE("nft: sets, ranges, prefixes, wildcards and comparisons") {
  CHECK(drops(comparing(kDport, R"({"set": [22, {"range": [79, 81]}]})")) == "yes");
  CHECK(drops(comparing(kDport, "80", "!=")).empty());
  CHECK(drops(comparing(kDport, "81", "!=")) == "yes");
  CHECK(drops(comparing(kDport, "1024", "<")) == "yes");
  CHECK(drops(comparing(kDport, "1024", ">=")).empty());
  CHECK(drops(comparing(kSource, R"({"prefix": {"addr": "198.18.0.0", "len": 24}})")) == "yes");
  CHECK(drops(comparing(kSource, R"({"prefix": {"addr": "10.0.0.0", "len": 8}})")).empty());
  CHECK(drops(comparing(kIn, R"("br*")")) == "yes");
  CHECK(drops(comparing(kIn, R"("@s")"), "input", 0, "inet",
              R"(, {"set": {"family": "inet", "table": "t", "name": "s", "elem": ["br0", "br1"]}})") ==
        "yes");
  CHECK(drops(comparing(kIn, R"("@gone")")) == "maybe");
}

TEST_CASE("nft: what it does not know may drop, and never surely") {
  CHECK(drops(comparing(R"({"meta": {"key": "mark"}})", "7")) == "maybe");
  CHECK(drops(comparing(R"({"meta": {"key": "cgroup"}})", "7", "!=")) == "maybe");
  CHECK(drops(R"({"limit": {"rate": 1, "per": "second"}})") == "maybe");
  CHECK(drops(comparing(R"({"ct": {"key": "state"}})", R"(["established", "related"])", "in")).empty());
  CHECK(drops(comparing(R"({"ct": {"key": "state"}})", R"("new")", "in")) == "yes");
}

TEST_CASE("nft: a chain counts only where the connection's packets pass it") {
  const auto at = [](std::string_view hook, std::vector<netlink::NftHook> where) {
    const auto drop = comparing(kDport, "8088") + R"(, {"drop": null})";
    return find_drop({.nft = base_chain_with(drop, hook, 0, "netdev"), .hooks = std::move(where)}, passage())
        .has_value();
  };
  CHECK(at("ingress", hooks("netdev", {"veth1"})));
  CHECK(at("ingress", hooks("netdev", {"eth0", "br0"})));
  CHECK(at("ingress", hooks("netdev", {"veth*"})));
  CHECK_FALSE(at("ingress", hooks("netdev", {"eth0", "veth2"})));
  CHECK_FALSE(at("ingress", hooks("netdev")));  // its device is gone
  CHECK_FALSE(at("ingress", {}));               // its table is dormant
  // The answer comes from that port.
  const auto answer = R"({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "sport"}},
      "right": 8088}}, {"drop": null})";
  CHECK(find_drop({.nft = base_chain_with(answer, "egress", 0, "netdev"), .hooks = hooks("netdev", {"br0"})},
                  passage())
            ->certain);
}

TEST_CASE("nft: the remedy lets in this connection alone, above the rule") {
  const auto reject = comparing(kDport, "80") + R"(, {"reject": null})";
  const RulesText rules{.nft = base_chain_with(reject), .hooks = hooks()};
  const auto rule = find_drop(rules, passage());
  REQUIRE(rule);
  CHECK(rule->rejects);
  CHECK(rule->what == "the rule with handle 7 in chain inet t c");
  CHECK(rule->remedy == "nft insert rule inet t c handle 7 iifname \"br0\" ct status dnat accept");
  const auto early = find_drop(
      {.nft = base_chain_with(R"({"drop": null})", "prerouting", -300), .hooks = hooks()}, passage());
  REQUIRE(early);
  CHECK(early->remedy ==
        "nft insert rule inet t c handle 7 iifname \"br0\" ip saddr 198.18.0.5 ip daddr 198.18.0.1 tcp dport "
        "8088 "
        "accept");
  // A drop of every frame also drops ARP, which no accept of a port lets in.
  const auto frames =
      find_drop({.nft = base_chain_with(R"({"drop": null})", "input", 0, "bridge"), .hooks = hooks("bridge")},
                passage());
  REQUIRE(frames);
  CHECK(frames->remedy == "nft delete rule bridge t c handle 7");
}

TEST_CASE("iptables: rules of every table, with the line that mends") {
  const auto input = of_iptables("-A INPUT -s 198.18.0.0/24 -p tcp -m tcp --dport 80 -j DROP\n");
  REQUIRE(input);
  CHECK(input->certain);
  CHECK(input->before_ours);
  CHECK(input->what ==
        "rule 1 of chain INPUT in iptables-legacy's table filter (-s 198.18.0.0/24 -p tcp -m tcp --dport 80 "
        "-j DROP)");
  CHECK(input->remedy == "iptables-legacy -I INPUT 1 -i br0 -m conntrack --ctstate DNAT -j ACCEPT");
  const auto raw = of_iptables("-A PREROUTING -i br0 -j DROP\n", "raw", "PREROUTING");
  REQUIRE(raw);
  CHECK_FALSE(raw->before_ours);
  CHECK(raw->remedy ==
        "iptables-legacy -t raw -I PREROUTING 1 -i br0 -s 198.18.0.5/32 -d 198.18.0.1/32 -p tcp --dport 8088 "
        "-j ACCEPT");
  CHECK_FALSE(of_iptables("-A PREROUTING -i br1 -j DROP\n", "raw", "PREROUTING"));
}

TEST_CASE("iptables: negation, lists, chains of the user's own, unknown matches, quotes") {
  CHECK_FALSE(of_iptables("-A INPUT ! -i lo -j ACCEPT\n-A INPUT -j DROP\n"));
  CHECK(of_iptables("-A INPUT ! -s 10.0.0.0/8 -j REJECT --reject-with tcp-reset\n")->rejects);
  CHECK(of_iptables("-A INPUT -p tcp -m multiport --dports 22,79:81 -j DROP\n")->certain);
  CHECK_FALSE(of_iptables("-A INPUT -p udp -j DROP\n"));
  CHECK_FALSE(of_iptables("-A INPUT -m recent --rcheck -j DROP\n")->certain);
  CHECK(of_iptables("-A INPUT -m comment --comment \"a \\\" -j ACCEPT\" -j DROP\n")->certain);
  CHECK(of_iptables(":ufw - [0:0]\n-A INPUT -j ufw\n-A ufw -p tcp -m tcp --dport 80 -j DROP\n")
            ->what.find("rule 1 of chain ufw") == 0);
  CHECK_FALSE(
      of_iptables("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n-A INPUT -j DROP\n"));
}

TEST_CASE("the drop that comes first in the packet's order is the one that is named") {
  const RulesText rules{.nft = base_chain_with(R"({"drop": null})", "prerouting", -300),
                        .hooks = hooks(),
                        .iptables_legacy = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"};
  CHECK(find_drop(rules, passage())->what == "the rule with handle 7 in chain inet t c");
  CHECK(find_drop({.iptables_legacy = rules.iptables_legacy}, passage())->what ==
        "the policy of chain INPUT in iptables-legacy's table filter");
}
