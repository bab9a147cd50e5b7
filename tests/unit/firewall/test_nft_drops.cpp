// nft's statements, verdicts, maps, chains and families: what drops, what may, and what does not.
#include "support/expect_error.hpp"
#include "unit/firewall/foreign_rules.hpp"

#include <doctest/doctest.h>

#include <utility>

using namespace hostnet;
using namespace hostnet::firewall;
using test::base_chain_with;
using test::comparing;
using test::ct;
using test::hooks;
using test::meta;
using test::passage;
using test::payload;

namespace {

const std::string kAll = R"({"drop": null})";

// Where the rule's chain is, and what else is listed.
struct Place {
  std::string hook = "input";
  int priority = 0;
  std::string family = "inet";
  std::string more;
  std::string type = "filter";
  Passage of = passage();
};

std::optional<Drop> found(const std::string& statements, const Place& place = {}) {
  return find_drop(
      {.nft = base_chain_with(statements, place.hook, place.priority, place.family, place.more, place.type),
       .hooks = hooks(place.family, {"veth1"})},
      place.of);
}
std::string dropped(const std::string& statements, const Place& place = {}) {
  return test::answer_to(found(statements, place));
}
// Of a rule that drops what `match` matches.
std::string matched(const std::string& match, const Place& place = {}) {
  return dropped(match + ", " + kAll, place);
}

std::string rule_in(const char* chain, const std::string& statements) {
  return fmt::format(
      R"(, {{"rule": {{"family": "inet", "table": "t", "chain": "{}", "handle": 9, "expr": [{}]}}}})", chain,
      statements);
}
std::string vmap(const std::string& key, const std::string& data) {
  return fmt::format(R"({{"vmap": {{"key": {}, "data": {}}}}})", key, data);
}

const std::string kPort = payload("tcp", "dport");

}  // namespace

TEST_CASE("nft drops: comparisons of a port, with their limits") {
  CHECK(matched(comparing(kPort, "80", "<")).empty());
  CHECK(matched(comparing(kPort, "81", "<")) == "yes");
  CHECK(matched(comparing(kPort, "0", "<")).empty());
  CHECK(matched(comparing(kPort, "80", "<=")) == "yes");
  CHECK(matched(comparing(kPort, "79", "<=")).empty());
  CHECK(matched(comparing(kPort, "79", ">")) == "yes");
  CHECK(matched(comparing(kPort, "80", ">")).empty());
  CHECK(matched(comparing(kPort, "65535", ">")).empty());
  CHECK(matched(comparing(kPort, "80", ">=")) == "yes");
  CHECK(matched(comparing(kPort, "81", ">=")).empty());
  CHECK(matched(comparing(kPort, R"("http")", ">")) == "maybe");
  CHECK(matched(comparing(kPort, "80", "~")) == "maybe");
  CHECK(matched(comparing(payload("ip", "ttl"), "64", "<")) == "maybe");
}

TEST_CASE("nft drops: a negated comparison of a header that the packet lacks does not match") {
  for (const char* const op : {"==", "!=", "<", ">="}) {
    CHECK(matched(comparing(payload("udp", "dport"), "53", op)).empty());
    CHECK(matched(comparing(payload("icmp", "type"), "8", op)).empty());
  }
  CHECK(matched(comparing(payload("ip6", "saddr"), R"("::1")", "!=")).empty());
  CHECK(matched(comparing(payload("ip6", "saddr"), R"("@allowed")", "!=")).empty());
  CHECK(matched(comparing(payload("vlan", "id"), "5", "!="), {.family = "bridge"}).empty());
  CHECK(matched(comparing(payload("ip", "saddr"), R"("10.0.0.1")", "!=")) == "yes");
  CHECK(dropped(vmap(payload("udp", "dport"), R"({"set": [["*", {"drop": null}]]})")).empty());
}

TEST_CASE("nft drops: bits of a mask") {
  CHECK(matched(comparing(payload("tcp", "flags"), R"("syn")", "in")) == "yes");
  CHECK(matched(comparing(payload("tcp", "flags"), R"("syn")", "!")).empty());
  CHECK(matched(comparing(payload("tcp", "flags"), R"(["fin", "rst"])", "!")) == "yes");
  CHECK(matched(comparing(payload("tcp", "flags"), R"({"set": ["syn", "ack"]})")) == "yes");
  const Place output{.hook = "output"};
  CHECK(matched(comparing(payload("tcp", "flags"), R"("syn")"), output).empty());
  CHECK(matched(comparing(payload("tcp", "flags"), R"("syn")", "in"), output) == "yes");
  const auto masked = fmt::format(R"({{"&": [{}, ["syn", "ack"]]}})", payload("tcp", "flags"));
  CHECK(matched(comparing(masked, R"("syn")")) == "yes");
  CHECK(matched(comparing(masked, R"("syn")", "!=")).empty());
  CHECK(matched(comparing(masked, R"("syn")", "!="), output) == "yes");
  CHECK(matched(comparing(ct("status"), R"("dnat")", "in")) == "yes");
  CHECK(matched(comparing(ct("status"), R"("dnat")", "!")).empty());
  CHECK(matched(comparing(ct("state"), R"(["invalid", "new"])", "in")) == "yes");
  CHECK(matched(comparing(ct("state"), R"({"set": ["invalid", "untracked"]})")).empty());
}

TEST_CASE("nft drops: what may end a rule makes the rest of it uncertain") {
  for (const char* const statement :
       {R"({"limit": {"rate": 1, "per": "second"}})", R"({"quota": {"val": 10, "val_unit": "mbytes"}})",
        R"({"ct count": {"val": 3}})", R"({"xt": {"type": "match", "name": "recent"}})",
        R"({"tproxy": {"family": "ip", "port": 50080}})",
        R"({"meter": {"name": "m", "key": 1, "stmt": {"limit": {"rate": 10}}}})",
        R"({"set": {"op": "add", "elem": 1, "set": "@dyn", "stmt": [{"limit": {"rate": 10}}]}})"})
    CHECK_MESSAGE(matched(statement) == "maybe", std::string(statement));
  for (const char* const statement :
       {R"({"counter": {"packets": 0, "bytes": 0}})", R"({"log": {"prefix": "x"}})", R"({"log": null})",
        R"({"set": {"op": "update", "elem": 1, "set": "@dyn"}})", R"({"mangle": {"key": 1, "value": 2}})",
        R"({"dup": {"addr": "lo"}})", "7", "{}"})
    CHECK_MESSAGE(matched(statement) == "yes", std::string(statement));
  // What comes before it is sure.
  CHECK(dropped(kAll + R"(, {"limit": {"rate": 1, "per": "second"}})") == "yes");
}

TEST_CASE("nft drops: verdicts, and statements that are one") {
  CHECK(found(R"({"reject": {"type": "tcp reset"}})")->rejects);
  CHECK_FALSE(found(kAll)->rejects);
  CHECK(dropped(R"({"queue": {"num": 1}})") == "maybe");
  CHECK(dropped(R"({"fwd": {"dev": "lo"}})", {.hook = "ingress", .family = "netdev"}) == "maybe");
  const auto reject = found(R"({"xt": {"type": "target", "name": "REJECT"}})");
  REQUIRE(reject);
  CHECK(reject->rejects);
  CHECK_FALSE(reject->certain);
  const auto then_drop = [](const std::string& first) { return dropped(first + ", " + kAll); };
  for (const char* const accepting :
       {R"({"accept": null})", R"({"dnat": {"addr": "1.2.3.4"}})", R"({"snat": {"addr": "1.2.3.4"}})",
        R"({"masquerade": null})", R"({"redirect": {"port": 8080}})", R"({"return": null})"})
    CHECK_MESSAGE(then_drop(accepting).empty(), std::string(accepting));
  CHECK(then_drop(R"({"continue": null})") == "yes");
  CHECK(then_drop(R"({"synproxy": {"mss": 1460}})") == "maybe");
}

TEST_CASE("nft drops: jump, goto and return") {
  const auto jump = R"({"jump": {"target": "sub"}})";
  const auto go_to = R"({"goto": {"target": "sub"}})";
  const auto in_sub = found(jump, {.more = rule_in("sub", kAll)});
  REQUIRE(in_sub);
  CHECK(in_sub->what == "the rule with handle 9 in chain inet t sub");
  CHECK(in_sub->remedy == "nft insert rule inet t sub handle 9 iifname \"br0\" ct status dnat accept");
  CHECK(found(go_to, {.more = rule_in("sub", kAll)})->certain);
  // iptables-nft's chains can have a name that a shell would read differently.
  const auto odd = found(R"({"jump": {"target": "a;b"}})", {.more = rule_in("a;b", kAll)});
  CHECK(odd->remedy == "nft insert rule inet t 'a;b' handle 9 iifname \"br0\" ct status dnat accept");
  const std::string returns = rule_in("sub", R"({"return": null})");
  CHECK(dropped(std::string(jump) + ", " + kAll, {.more = returns}) == "yes");
  CHECK(dropped(std::string(go_to) + ", " + kAll, {.more = returns}).empty());
  CHECK(dropped(jump, {.more = rule_in("sub", comparing(kPort, "81") + ", " + kAll)}).empty());
  CHECK(dropped(jump).empty());  // an empty chain
}

TEST_CASE("nft drops: verdict maps") {
  CHECK(dropped(vmap(kPort, R"({"set": [[22, {"accept": null}], [80, {"drop": null}]]})")) == "yes");
  CHECK(dropped(vmap(kPort, R"({"set": [[22, {"drop": null}], [80, {"accept": null}]]})")).empty());
  CHECK(dropped(vmap(kPort, R"({"set": [[{"range": [79, 81]}, {"jump": {"target": "sub"}}]]})"),
                {.more = rule_in("sub", kAll)}) == "yes");
  CHECK(dropped(vmap(meta("mark"), R"({"set": [[1, {"drop": null}]]})")) == "maybe");
  CHECK(dropped(R"({"limit": {"rate": 1}}, )" + vmap(kPort, R"({"set": [[80, {"drop": null}]]})")) ==
        "maybe");
  CHECK(dropped(vmap(kPort, R"({"set": [[80, "drop"], [80], 80]})")).empty());
  // The element "*" counts for what no other one contains.
  const auto fallback = [](const char* first) {
    return dropped(vmap(kPort, fmt::format(R"({{"set": [["*", {{"drop": null}}], {}]}})", first)));
  };
  CHECK(fallback(R"([22, {"accept": null}])") == "yes");
  CHECK(fallback(R"([80, {"accept": null}])").empty());
  CHECK(fallback(R"([80, {"continue": null}])").empty());
  CHECK(fallback(R"(["http", {"accept": null}])") == "maybe");
  CHECK(dropped(vmap(kPort, R"({"set": [[{"elem": {"val": "*", "counter": null}}, {"drop": null}]]})")) ==
        "yes");
  const auto named = [](const char* table) {
    return fmt::format(
        R"(, {{"map": {{"family": "inet", "table": "{}", "name": "verdicts", "type": "inet_service", "map": "verdict",
        "elem": [[22, {{"accept": null}}], [{{"elem": {{"val": 80, "comment": "web"}}}}, {{"drop": null}}]]}}}})",
        table);
  };
  CHECK(dropped(vmap(kPort, R"("@verdicts")"), {.more = named("t")}) == "yes");
  CHECK(dropped(vmap(kPort, R"("@verdicts")"), {.more = named("other")}).empty());
}

TEST_CASE("nft drops: named sets") {
  const auto set = [](const char* elements) {
    return fmt::format(
        R"(, {{"set": {{"family": "inet", "table": "t", "name": "s", "type": "inet_service"{}}}}})",
        elements);
  };
  const auto port_in = [&](const char* op, const char* elements) {
    return matched(comparing(kPort, R"("@s")", op), {.more = set(elements)});
  };
  CHECK(port_in("==", R"(, "elem": [22, 80])") == "yes");
  CHECK(port_in("==", R"(, "elem": [22])").empty());
  CHECK(port_in("==", "").empty());
  CHECK(port_in("!=", "") == "yes");
  CHECK(port_in("!=", R"(, "elem": ["*"])").empty());
  CHECK(port_in("in", R"(, "elem": [{"elem": {"val": 80, "timeout": 60}}])") == "yes");
  CHECK(port_in("==", R"(, "elem": ["unclear"])") == "maybe");
  const auto pair = fmt::format(R"({{"concat": [{}, {}]}})", meta("iifname"), kPort);
  CHECK(matched(comparing(pair, R"({"set": [{"concat": ["br0", 80]}]})")) == "yes");
  CHECK(matched(comparing(pair, R"({"set": [{"concat": ["br0", 81]}]})")).empty());
}

TEST_CASE("nft drops: chains of type nat see only first packets, before our DNAT") {
  const Place before{.hook = "prerouting", .priority = -100, .type = "nat"};
  CHECK(matched(comparing(kPort, "80"), before).empty());
  CHECK(matched(comparing(kPort, "8088"), before) == "maybe");  // our DNAT may come first, which ends them
  CHECK(matched(comparing(kPort, "80"), {.type = "nat"}) == "yes");
  CHECK(dropped(kAll, {.hook = "postrouting", .priority = 100, .type = "nat"}).empty());
  CHECK(dropped(kAll, {.hook = "postrouting", .priority = 100}) == "yes");
  CHECK(dropped(kAll, {.hook = "output", .type = "nat"}).empty());
  Place sidecar = before;
  sidecar.of = test::sidecar_passage();
  CHECK(matched(comparing(kPort, "8088"), sidecar) == "yes");
}

TEST_CASE("nft drops: families, tables and chains that the connection does not meet") {
  CHECK(dropped(kAll, {.family = "ip"}) == "yes");
  CHECK(dropped(kAll, {.family = "ip6"}).empty());
  CHECK(dropped(kAll, {.family = "arp"}).empty());
  CHECK(dropped(kAll, {.hook = "made-up"}).empty());
  CHECK(dropped(kAll, {.hook = "ingress", .family = "inet"}) == "yes");  // inet has it, too
  CHECK(dropped(kAll, {.hook = "forward", .family = "bridge"}).empty());
  CHECK(dropped(kAll, {.hook = "forward", .family = "bridge", .of = test::sidecar_passage()}) == "yes");
  auto no_port = passage();
  no_port.port.clear();
  CHECK(dropped(kAll, {.hook = "ingress", .family = "netdev", .of = no_port}).empty());
  const auto hooked_as = [](netlink::NftHook hook) {
    return nft_drops(base_chain_with(kAll), {std::move(hook)}, "", passage()).size();
  };
  CHECK(hooked_as({"inet", "t", "c", {}}) == 1);
  CHECK(hooked_as({"ip", "t", "c", {}}) == 0);
  CHECK(hooked_as({"inet", "u", "c", {}}) == 0);
  CHECK(hooked_as({"inet", "t", "d", {}}) == 0);
  const auto listing = base_chain_with(kAll, "input", 0, "ip");
  const auto beside = [&](std::string_view others) {
    return nft_drops(listing, hooks("ip"), others, passage()).size();
  };
  CHECK(beside("") == 1);
  CHECK(beside("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n") == 1);
  CHECK(beside("*t\n:c ACCEPT [0:0]\nCOMMIT\n") == 0);  // iptables-nft's own, read from its program
  auto ours = listing;
  for (auto at = ours.find(R"("t")"); at != std::string::npos; at = ours.find(R"("t")"))
    ours.replace(at, 3, R"("tc_hostnet")");
  CHECK(nft_drops(ours, {{"ip", "tc_hostnet", "c", {}}}, "", passage()).empty());
}

TEST_CASE("nft drops: a text that is no listing") {
  CHECK(test::code_of([] { nft_drops("{", hooks(), "", passage()); }) == Errc::failure);
  for (const char* const text :
       {"{}", "[]", R"({"nftables": 7})", R"({"nftables": [7, {"rule": 7}, {"chain": {}}, {"set": null}]})"})
    CHECK(nft_drops(text, hooks(), "", passage()).empty());
}

TEST_CASE("nft drops: a policy, and its remedy below IP, where ARP must pass as well") {
  const auto policy = [](const char* family, const char* hook, const Passage& of) {
    auto text = base_chain_with(R"({"return": null})", hook, 0, family);
    text.replace(text.find(R"("policy": "accept")"), 18, R"("policy": "drop")");
    return find_drop({.nft = text, .hooks = hooks(family, {"br0"})}, of);
  };
  const auto input = policy("inet", "input", passage());
  REQUIRE(input);
  CHECK(input->certain);
  CHECK(input->what == "the policy of chain inet t c");
  CHECK(input->remedy == "nft insert rule inet t c iifname \"br0\" ct status dnat accept");
  auto any = passage();
  any.source = {test::ip("198.18.0.0"), 24};
  any.dialled_port.reset();
  any.protocol = Protocol::udp;
  CHECK(policy("bridge", "input", any)->remedy ==
        "nft insert rule bridge t c ip saddr 198.18.0.0/24 ip daddr 198.18.0.1 ip protocol udp accept && "
        "nft insert rule bridge t c ether type arp accept");
  any.source = {{}, 0};
  CHECK(policy("netdev", "egress", any)->remedy ==
        "nft insert rule netdev t c ip saddr 198.18.0.1 ip protocol udp accept && "
        "nft insert rule netdev t c ether type arp accept");
  CHECK(policy("inet", "output", passage())->remedy ==
        "nft insert rule inet t c oifname \"br0\" ct status dnat accept");
}

TEST_CASE("nft drops: below IP, a rule that drops ARP, too, must go") {
  const auto remedy = [](const std::string& match) {
    return found(match + ", " + kAll, {.family = "bridge"})->remedy;
  };
  const auto deleted = "nft delete rule bridge t c handle 7";
  const auto accepted =
      "nft insert rule bridge t c handle 7 ip saddr 198.18.0.5 ip daddr 198.18.0.1 tcp dport 8088 accept";
  CHECK(remedy(comparing(meta("iifname"), R"("veth1")")) == deleted);
  CHECK(remedy(comparing(payload("ether", "type"), R"({"set": ["ip", "arp"]})")) == deleted);
  CHECK(remedy(comparing(payload("ether", "type"), R"("ip")")) == accepted);
  CHECK(remedy(comparing(kPort, "8088")) == accepted);
  CHECK(remedy(comparing(payload("th", "dport"), "8088")) == accepted);
  CHECK(remedy(comparing(meta("l4proto"), R"({"set": ["udp", 6]})")) == accepted);
}
