// The words of iptables-save's rules: what drops, what may, and what does not.
#include "firewall/iptables_save.hpp"
#include "unit/firewall/foreign_rules.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::firewall;
using test::passage;
using test::sidecar_passage;

namespace {

// Of a rule that drops what `words` match, in a chain of its own table.
std::string words_drop(const std::string& words, const std::string& chain = "INPUT",
                       const std::string& table = "filter", const Passage& of = passage()) {
  return test::answer_to(find_drop(
      {.iptables_legacy =
           fmt::format("*{0}\n:{1} ACCEPT [0:0]\n-A {1} {2} -j DROP\nCOMMIT\n", table, chain, words)},
      of));
}

// Of whole rules in INPUT.
std::optional<Drop> drop_of_rules(const std::string& rules,
                                  const std::string& head = ":INPUT ACCEPT [0:0]\n") {
  return find_drop({.iptables_nft = "# by iptables-save\n*filter\n" + head + rules + "COMMIT\n"}, passage());
}
std::string rules_drop(const std::string& rules, const std::string& head = ":INPUT ACCEPT [0:0]\n") {
  return test::answer_to(drop_of_rules(rules, head));
}

Passage udp_passage() {
  auto out = passage();
  out.protocol = Protocol::udp;
  return out;
}

}  // namespace

TEST_CASE("iptables drops: addresses and interfaces") {
  CHECK(words_drop("-s 198.18.0.5/32") == "yes");
  CHECK(words_drop("-s 198.18.0.5") == "yes");
  CHECK(words_drop("-s 198.18.0.6/32").empty());
  CHECK(words_drop("! -s 198.18.0.0/24").empty());
  CHECK(words_drop("-d 127.0.0.0/8") == "yes");
  CHECK(words_drop("! -d 127.0.0.1/32").empty());
  CHECK(words_drop("-s 10.0.0.0/255.0.255.0") == "maybe");  // a netmask with gaps
  CHECK(words_drop("-s host") == "maybe");
  CHECK(words_drop("-s 10.0.0.0/33") == "maybe");
  CHECK(words_drop("-i br0") == "yes");
  CHECK(words_drop("-i br+") == "yes");
  CHECK(words_drop("! -i br+").empty());
  CHECK(words_drop("-o br0").empty());
  CHECK(words_drop("-o br0", "OUTPUT") == "yes");
  CHECK(words_drop("-i br0", "OUTPUT").empty());
  CHECK(words_drop("-i br0", "FORWARD").empty());
  CHECK(words_drop("-i br0 -o br0", "FORWARD", "filter", sidecar_passage()) == "yes");
}

TEST_CASE("iptables drops: protocols and ports") {
  CHECK(words_drop("-p tcp") == "yes");
  CHECK(words_drop("-p all") == "yes");
  CHECK(words_drop("-p icmp").empty());
  CHECK(words_drop("! -p icmp") == "yes");
  CHECK(words_drop("-p udp", "INPUT", "filter", udp_passage()) == "yes");
  CHECK(words_drop("-p udp -m udp ! --dport 53").empty());
  CHECK(words_drop("-p tcp -m tcp --dport 80") == "yes");
  CHECK(words_drop("-p tcp -m tcp ! --dport 80").empty());
  CHECK(words_drop("-p tcp -m tcp --dport 0:79").empty());
  CHECK(words_drop("-p tcp -m tcp --dport 0:1024") == "yes");
  CHECK(words_drop("-p tcp -m tcp --dport http") == "maybe");
  CHECK(words_drop("-p tcp -m tcp --dport 80:x") == "maybe");
  CHECK(words_drop("-p tcp -m tcp --sport 80") == "maybe");  // the container's own port is any
  CHECK(words_drop("-p tcp -m tcp --sport 80", "OUTPUT") == "yes");
  CHECK(words_drop("-p tcp -m tcp --sport 0:65535") == "yes");
  CHECK(words_drop("-p tcp -m multiport --dports 22,8088").empty());
  CHECK(words_drop("-p tcp -m multiport ! --dports 22,8088") == "yes");
  CHECK(words_drop("-p tcp -m multiport --sports 22,80", "OUTPUT") == "yes");
  CHECK(words_drop("-p tcp -m multiport --ports 22,80") == "yes");
  CHECK(words_drop("-p tcp -m multiport --ports 22,23") == "maybe");
  CHECK(words_drop("-p tcp -m tcp --dport 8088", "PREROUTING", "raw") == "yes");
  CHECK(words_drop("-p tcp -m tcp --dport 8088", "PREROUTING", "mangle") == "yes");
  CHECK(words_drop("-p tcp -m tcp --dport 80", "PREROUTING", "mangle").empty());
  CHECK(words_drop("-p tcp -m tcp --dport 80", "INPUT", "security") == "yes");
}

TEST_CASE("iptables drops: TCP flags") {
  const auto flags = [](const std::string& words, const char* chain) {
    return words_drop("-p tcp -m tcp " + words, chain);
  };
  CHECK(flags("--tcp-flags FIN,SYN,RST,ACK SYN", "INPUT") == "yes");
  CHECK(flags("--tcp-flags FIN,SYN,RST,ACK SYN", "OUTPUT").empty());
  CHECK(flags("! --tcp-flags FIN,SYN,RST,ACK SYN", "INPUT").empty());
  CHECK(flags("! --tcp-flags FIN,SYN,RST,ACK SYN", "OUTPUT") == "yes");
  CHECK(flags("--tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE", "INPUT").empty());
  CHECK(flags("--tcp-flags SYN,RST SYN,RST", "INPUT").empty());
  CHECK(flags("--tcp-flags SYN SYN", "OUTPUT") == "yes");
  CHECK(flags("--tcp-flags FIN,RST NONE", "INPUT") == "yes");
  CHECK(flags("--tcp-flags SYN,XYZ SYN", "INPUT") == "maybe");
  CHECK(flags("--tcp-flags SYN XYZ", "INPUT") == "maybe");
}

TEST_CASE("iptables drops: conntrack") {
  CHECK(words_drop("-m conntrack --ctstate NEW") == "yes");
  CHECK(words_drop("-m state --state NEW") == "yes");
  CHECK(words_drop("-m conntrack --ctstate INVALID").empty());
  CHECK(words_drop("-m conntrack ! --ctstate NEW").empty());
  CHECK(words_drop("-m conntrack --ctstate DNAT") == "yes");
  CHECK(words_drop("-m conntrack --ctstate DNAT", "PREROUTING", "mangle").empty());
  CHECK(words_drop("-m conntrack --ctstate ESTABLISHED", "OUTPUT") == "yes");
  CHECK(words_drop("-m conntrack --ctstate NEW", "OUTPUT").empty());
  CHECK(words_drop("-m conntrack --ctstate NEW", "PREROUTING", "raw") == "maybe");
  CHECK(words_drop("-m conntrack --ctdir ORIGINAL") == "yes");
  CHECK(words_drop("-m conntrack --ctdir REPLY").empty());
  CHECK(words_drop("-m conntrack --ctdir REPLY", "OUTPUT") == "yes");
  CHECK(words_drop("-m conntrack --ctdir REPLY", "PREROUTING", "raw") == "maybe");
  CHECK(words_drop("-m conntrack --ctstatus EXPECTED").empty());
  CHECK(words_drop("-m conntrack --ctstatus ASSURED") == "maybe");
  CHECK(words_drop("-m conntrack --ctorigdst 198.18.0.1") == "yes");
  CHECK(words_drop("-m conntrack ! --ctorigdst 198.18.0.1").empty());
  CHECK(words_drop("-m conntrack --ctorigdst 198.18.0.1", "PREROUTING", "raw") == "maybe");
  CHECK(words_drop("-m conntrack ! --ctorigdstport 8088") == "maybe");
}

TEST_CASE("iptables drops: the type of the destination") {
  CHECK(words_drop("-m addrtype --dst-type LOCAL") == "yes");
  CHECK(words_drop("-m addrtype ! --dst-type LOCAL").empty());
  CHECK(words_drop("-m addrtype --dst-type BROADCAST").empty());
  CHECK(words_drop("-m addrtype --dst-type LOCAL,BROADCAST") == "yes");
  CHECK(words_drop("-m addrtype --dst-type LOCAL", "PREROUTING", "raw") == "yes");
  CHECK(words_drop("-m addrtype --dst-type LOCAL", "OUTPUT").empty());
  CHECK(words_drop("-m addrtype --dst-type LOCAL", "PREROUTING", "raw", sidecar_passage()).empty());
  CHECK(words_drop("-m addrtype --dst-type LOCAL --limit-iface-in") == "maybe");
  CHECK(words_drop("-m addrtype --src-type LOCAL") == "maybe");
}

TEST_CASE("iptables drops: matches that are not known here") {
  for (const char* const words : {"-m limit --limit 3/min", "-m set --match-set banned src",
                                  "-m mark --mark 0x1", "-f", "-m tcp --made-up 7"})
    CHECK_MESSAGE(words_drop(words) == "maybe", std::string(words));
  CHECK(words_drop("-s 10.0.0.0/8 -m limit --limit 3/min").empty());
  CHECK(words_drop("-m comment --comment \"! -j ACCEPT\"") == "yes");
  CHECK(words_drop("-m comment --comment \"\"") == "yes");
}

TEST_CASE("iptables drops: targets") {
  const auto then_drop = [](const char* words) {
    return rules_drop(fmt::format("-A INPUT {}\n-A INPUT -j DROP\n", words));
  };
  CHECK(then_drop("-j ACCEPT").empty());
  CHECK(then_drop("-j RETURN").empty());
  CHECK(then_drop("-j LOG --log-prefix \"-j ACCEPT\"") == "yes");
  CHECK(then_drop("-j MARK --set-xmark 0x1/0xffffffff") == "yes");
  CHECK(then_drop("-p tcp") == "yes");  // without a target it only counts
  CHECK(then_drop("-j SYNPROXY --mss 1460") == "maybe");
  for (const char* const target : {"NFQUEUE --queue-num 1", "QUEUE", "TPROXY --on-port 50080"})
    CHECK_MESSAGE(rules_drop(fmt::format("-A INPUT -j {}\n", target)) == "maybe", std::string(target));
  CHECK(rules_drop("-A INPUT -j TARPIT\n") == "yes");
  CHECK(drop_of_rules("-A INPUT -j REJECT --reject-with icmp-port-unreachable\n")->rejects);
  CHECK_FALSE(drop_of_rules("-A INPUT -j TARPIT\n")->rejects);
}

TEST_CASE("iptables drops: chains of the user's own, and ours") {
  const std::string head = ":INPUT ACCEPT [0:0]\n:mine - [0:0]\n";
  CHECK(rules_drop("-A INPUT -j mine\n-A INPUT -j DROP\n-A mine -j RETURN\n", head) == "yes");
  CHECK(rules_drop("-A INPUT -g mine\n-A INPUT -j DROP\n-A mine -j RETURN\n", head).empty());
  CHECK(rules_drop("-A INPUT -g mine\n-A mine -p tcp -j DROP\n", head) == "yes");
  CHECK(rules_drop("-A mine -j DROP\n", head).empty());
  CHECK(rules_drop("-A INPUT -j gone\n").empty());
  CHECK(rules_drop("-A INPUT -j TCHN-IN\n-A TCHN-IN -j DROP\n", ":INPUT ACCEPT [0:0]\n:TCHN-IN - [0:0]\n")
            .empty());
  // A name that a shell would read differently.
  const auto odd = drop_of_rules("-A INPUT -j a;b\n-A a;b -j DROP\n", ":INPUT ACCEPT [0:0]\n:a;b - [0:0]\n");
  REQUIRE(odd);
  CHECK(odd->remedy == "iptables-nft -I 'a;b' 1 -i br0 -m conntrack --ctstate DNAT -j ACCEPT");
}

TEST_CASE("iptables drops: policies, and the accept that lets the connection pass") {
  const auto input = drop_of_rules("-A INPUT -i lo -j ACCEPT\n", ":INPUT DROP [0:0]\n");
  REQUIRE(input);
  CHECK(input->certain);
  CHECK(input->what == "the policy of chain INPUT in iptables-nft's table filter");
  CHECK(input->remedy == "iptables-nft -I INPUT -i br0 -m conntrack --ctstate DNAT -j ACCEPT");
  auto any = passage();
  any.source = {{}, 0};
  any.dialled_port.reset();
  const auto remedy = [](const char* table, const char* chain, const Passage& of) {
    return find_drop({.iptables_legacy = fmt::format("*{}\n:{} DROP [0:0]\nCOMMIT\n", table, chain)}, of)
        ->remedy;
  };
  CHECK(remedy("raw", "PREROUTING", any) ==
        "iptables-legacy -t raw -I PREROUTING -i br0 -d 198.18.0.1/32 -p tcp -j ACCEPT");
  CHECK(remedy("raw", "OUTPUT", any) ==
        "iptables-legacy -t raw -I OUTPUT -o br0 -s 127.0.0.1/32 -p tcp --sport 80 -j ACCEPT");
  CHECK(
      remedy("raw", "OUTPUT", passage()) ==
      "iptables-legacy -t raw -I OUTPUT -o br0 -s 127.0.0.1/32 -d 198.18.0.5/32 -p tcp --sport 80 -j ACCEPT");
  CHECK(remedy("mangle", "POSTROUTING", passage()) ==
        "iptables-legacy -t mangle -I POSTROUTING -o br0 -m conntrack --ctstate DNAT -j ACCEPT");
  CHECK(remedy("filter", "FORWARD", sidecar_passage()) ==
        "iptables-legacy -I FORWARD -i br0 -o br0 -s 198.18.0.5/32 -d 198.18.0.1/32 -p tcp --dport 8088 -j "
        "ACCEPT");
}

TEST_CASE("iptables drops: a text with counters, and one that is damaged") {
  CHECK(rules_drop("[3:180] -A INPUT -p tcp -j DROP\n") == "yes");
  for (const char* const damaged :
       {"-A INPUT\n", "-A \n", "[0:0] -X INPUT -j DROP\n", "[\n", "-I INPUT -j DROP\n", "-A INPUT -j\n"})
    CHECK_MESSAGE(rules_drop(damaged).empty(), std::string(damaged));
  CHECK(rules_drop("", ":INPUT\n").empty());
  CHECK(rules_drop("-A INPUT -j DROP\n", "") == "yes");  // the chain's line is missing
  CHECK_FALSE(
      find_drop({.iptables_legacy = ":INPUT DROP [0:0]\n-A INPUT -j DROP\n"}, passage()));  // no table
  CHECK(saved_tables("# x\n*raw\nCOMMIT\n*filter \n:INPUT ACCEPT [0:0]\nCOMMIT\n") ==
        std::vector<std::string>{"raw", "filter"});
  CHECK(saved_tables("").empty());
}
