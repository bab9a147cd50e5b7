// The left sides of nft's matches: what they are for one packet, and how they compare. The JSON is that of
// libnftables 1.0.6, and of later versions where they differ.
#include "firewall/nft_key.hpp"
#include "unit/firewall/foreign_rules.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::firewall;
using test::ct;
using test::ip;
using test::meta;
using test::passage;
using test::payload;

namespace {

// In hook input: on br0, from 198.18.0.5 to 127.0.0.1:80.
Packet arriving() { return packet_at(passage(), Layer::ip, Hook::input, 0).value(); }
// In hook output: from 127.0.0.1:80 to 198.18.0.5, by br0.
Packet answering() { return packet_at(passage(), Layer::ip, Hook::output, 0).value(); }
// Before conntrack and DNAT, to 198.18.0.1:8088.
Packet untracked() { return packet_at(passage(), Layer::ip, Hook::prerouting, -300).value(); }
Packet in_bridge() { return packet_at(passage(), Layer::bridge, Hook::input, 0).value(); }
Packet over_udp() {
  auto udp = passage();
  udp.protocol = Protocol::udp;
  return packet_at(udp, Layer::ip, Hook::input, 0).value();
}

const char* name_of(Truth truth) { return truth == Truth::yes ? "yes" : truth == Truth::no ? "no" : "maybe"; }

std::string equals(const std::string& left, const std::string& right, const Packet& packet = arriving()) {
  const auto key = json::parse(left);
  const auto element = json::parse(right);
  return name_of(Key(key.view(), packet).is(element.view()));
}

std::string has_any(const std::string& left, const std::string& right, const Packet& packet = arriving()) {
  const auto key = json::parse(left);
  const auto element = json::parse(right);
  return name_of(Key(key.view(), packet).has_any(element.view()));
}

std::string masked(const std::string& mask) {
  return fmt::format(R"({{"&": [{}, {}]}})", payload("tcp", "flags"), mask);
}

}  // namespace

TEST_CASE("nft keys: interfaces") {
  for (const char* const key : {"iifname", "iif"}) {
    CHECK(equals(meta(key), R"("br0")") == "yes");
    CHECK(equals(meta(key), R"("br*")") == "yes");
    CHECK(equals(meta(key), R"("br1")") == "no");
    CHECK(equals(meta(key), "3") == "maybe");                   // an interface that is gone, by its index
    CHECK(equals(meta(key), R"("br0")", answering()) == "no");  // it comes in by none
  }
  for (const char* const key : {"oifname", "oif"}) {
    CHECK(equals(meta(key), R"("br0")") == "no");
    CHECK(equals(meta(key), R"("br0")", answering()) == "yes");
  }
  CHECK(equals(meta("iifname"), R"("veth1")", in_bridge()) == "yes");
  CHECK(equals(meta("ibrname"), R"("br0")", in_bridge()) == "yes");
  CHECK(equals(meta("ibrname"), R"("br1")", in_bridge()) == "no");
  CHECK(equals(meta("obrname"), R"("br0")", in_bridge()) == "no");
  auto unknown_port = passage();
  unknown_port.port.clear();
  CHECK(equals(meta("iifname"), R"("veth1")",
               packet_at(unknown_port, Layer::bridge, Hook::input, 0).value()) == "maybe");
}

TEST_CASE("nft keys: protocols, by name and by number") {
  CHECK(equals(meta("l4proto"), "6") == "yes");
  CHECK(equals(meta("l4proto"), "17") == "no");
  CHECK(equals(meta("l4proto"), "17", over_udp()) == "yes");
  CHECK(equals(meta("l4proto"), R"("tcp")") == "yes");
  CHECK(equals(payload("ip", "protocol"), "6") == "yes");
  CHECK(equals(payload("ip", "protocol"), "1") == "no");
  CHECK(equals(payload("ip", "version"), "4") == "yes");
  CHECK(equals(payload("ip", "version"), "6") == "no");
  CHECK(equals(meta("nfproto"), R"("ipv4")") == "yes");
  CHECK(equals(meta("nfproto"), R"("ipv6")") == "no");
  CHECK(equals(meta("nfproto"), "2") == "yes");
  CHECK(equals(meta("protocol"), R"("ip")") == "yes");
  CHECK(equals(meta("protocol"), R"("arp")", in_bridge()) == "no");
  CHECK(equals(payload("ether", "type"), R"("ip")", in_bridge()) == "yes");
  CHECK(equals(payload("ether", "type"), R"("8021q")", in_bridge()) == "no");
  CHECK(equals(meta("protocol"), "[]") == "maybe");
}

TEST_CASE("nft keys: addresses, prefixes and ranges") {
  const auto source = payload("ip", "saddr");
  CHECK(equals(source, R"("198.18.0.5")") == "yes");
  CHECK(equals(source, R"("198.18.0.6")") == "no");
  CHECK(equals(payload("ip", "daddr"), R"("127.0.0.1")") == "yes");
  CHECK(equals(source, R"({"prefix": {"addr": "198.18.0.0", "len": 15}})") == "yes");
  CHECK(equals(source, R"({"prefix": {"addr": "10.0.0.0", "len": 8}})") == "no");
  CHECK(equals(source, R"({"prefix": {"addr": "0.0.0.0", "len": 0}})") == "yes");
  for (const char* const damaged :
       {R"({"prefix": {"addr": "10.0.0.0", "len": 33}})", R"({"prefix": {"addr": "fe80::", "len": 8}})",
        R"({"prefix": {"addr": "10.0.0.0"}})", R"({"range": ["10.0.0.1", "x"]})",
        R"({"range": [1, "10.0.0.1"]})", R"({"range": ["10.0.0.1"]})", R"("fe80::1")", "7", "null"})
    CHECK_MESSAGE(equals(source, damaged) == "maybe", std::string(damaged));
  CHECK(equals(source, R"({"range": ["198.18.0.4", "198.18.0.5"]})") == "yes");
  CHECK(equals(source, R"({"range": ["198.18.0.6", "198.18.0.9"]})") == "no");
  CHECK(equals(source, R"({"range": ["10.0.0.0", "198.18.0.4"]})") == "no");
  // All containers of a network: a part of it may be the one that dials.
  auto network = passage();
  network.source = {ip("198.18.0.77"), 24};
  const auto from_network = packet_at(network, Layer::ip, Hook::input, 0).value();
  CHECK(equals(source, R"("198.18.0.5")", from_network) == "maybe");
  CHECK(equals(source, R"("198.18.1.5")", from_network) == "no");
  CHECK(equals(source, R"({"prefix": {"addr": "198.18.0.0", "len": 16}})", from_network) == "yes");
  CHECK(equals(source, R"({"range": ["198.18.0.0", "198.18.0.255"]})", from_network) == "yes");
  CHECK(equals(source, R"({"range": ["198.18.0.0", "198.18.0.100"]})", from_network) == "maybe");
  CHECK(equals(source, R"({"range": ["198.18.1.0", "198.18.1.100"]})", from_network) == "no");
}

TEST_CASE("nft keys: ports") {
  const auto port = payload("tcp", "dport");
  CHECK(equals(port, "80") == "yes");
  CHECK(equals(port, "81") == "no");
  CHECK(equals(payload("th", "dport"), "80") == "yes");
  CHECK(equals(payload("th", "dport"), "80", over_udp()) == "yes");
  CHECK(equals(payload("udp", "dport"), "80", over_udp()) == "yes");
  CHECK(equals(payload("tcp", "sport"), "80", answering()) == "yes");
  CHECK(equals(payload("tcp", "sport"), "80") == "maybe");  // the container's own port is any
  CHECK(equals(payload("tcp", "sport"), R"({"range": [0, 65535]})") == "yes");
  CHECK(equals(port, R"({"range": [80, 90]})") == "yes");
  CHECK(equals(port, R"({"range": [81, 90]})") == "no");
  for (const char* const damaged :
       {R"({"range": [80]})", R"({"range": ["http", 90]})", R"({"range": [80, -1]})", R"("http")"})
    CHECK_MESSAGE(equals(port, damaged) == "maybe", std::string(damaged));
}

TEST_CASE("nft keys: what conntrack knows") {
  CHECK(equals(ct("state"), R"("new")") == "yes");
  CHECK(equals(ct("state"), R"("established")") == "no");
  CHECK(equals(ct("state"), R"("established")", answering()) == "yes");
  CHECK(has_any(ct("state"), R"(["established", "related"])") == "no");
  CHECK(has_any(ct("state"), R"(["established", "new"])") == "yes");
  CHECK(has_any(ct("state"), R"("new")") == "yes");
  CHECK(has_any(ct("state"), R"([3])") == "maybe");
  CHECK(equals(ct("direction"), R"("original")") == "yes");
  CHECK(equals(ct("direction"), R"("reply")", answering()) == "yes");
  CHECK(equals(ct("mark"), "7") == "maybe");
  // Its status has further bits: that it has this one is sure, that it equals this one is not.
  CHECK(has_any(ct("status"), R"("dnat")") == "yes");
  CHECK(has_any(ct("status"), R"(["snat", "dnat"])") == "yes");
  CHECK(has_any(ct("status"), R"("snat")") == "no");
  CHECK(has_any(ct("status"), R"("assured")") == "maybe");
  CHECK(equals(ct("status"), R"("dnat")") == "maybe");
  CHECK(equals(ct("status"), R"("snat")") == "no");
  const auto before_dnat = packet_at(passage(), Layer::ip, Hook::prerouting, -150).value();
  CHECK(has_any(ct("status"), R"("dnat")", before_dnat) == "maybe");
  CHECK(has_any(ct("state"), R"("new")", before_dnat) == "yes");
  const auto original = [](const char* key, const char* direction) {
    return fmt::format(R"({{"ct": {{"key": "{}", "dir": "{}"}}}})", key, direction);
  };
  CHECK(equals(original("ip daddr", "original"), R"("198.18.0.1")") == "yes");
  CHECK(equals(original("ip saddr", "original"), R"("198.18.0.5")") == "yes");
  CHECK(equals(original("ip saddr", "original"), R"("198.18.0.5")", answering()) == "yes");
  CHECK(equals(original("ip daddr", "reply"), R"("198.18.0.1")") == "maybe");
  CHECK(equals(original("proto-dst", "original"), "8088") == "maybe");
  for (const auto& key : {ct("state"), ct("direction"), ct("status"), original("ip daddr", "original")})
    CHECK_MESSAGE(equals(key, R"("new")", untracked()) == "maybe", key);
}

TEST_CASE("nft keys: TCP flags, of the first packet and of its answer") {
  const auto flags = payload("tcp", "flags");
  CHECK(equals(flags, R"("syn")") == "yes");
  CHECK(equals(flags, "2") == "yes");
  CHECK(equals(flags, R"("ack")") == "no");
  CHECK(equals(flags, R"("made-up")") == "maybe");
  CHECK(equals(flags, R"(["syn", "made-up"])") == "maybe");
  CHECK(equals(flags, R"({"!": 2})") == "maybe");
  CHECK(equals(flags, R"("syn")", answering()) == "no");  // it has "ack", too
  CHECK(equals(flags, R"("ack")", answering()) == "no");
  CHECK(equals(flags, "18", answering()) == "yes");
  CHECK(equals(flags, R"(["syn", "ack"])", answering()) == "yes");
  CHECK(equals(flags, R"({"|": [{"|": ["syn", "ack"]}, "rst"]})", answering()) == "no");
  CHECK(has_any(flags, R"("syn")") == "yes");
  CHECK(has_any(flags, R"("ack")", answering()) == "yes");
  CHECK(has_any(flags, R"(["fin", "rst", "psh", "urg", "ecn", "cwr"])", answering()) == "no");
  CHECK(has_any(flags, R"("made-up")") == "maybe");
  CHECK(equals(masked(R"(["syn", "ack"])"), R"("syn")") == "yes");
  CHECK(equals(masked(R"(["syn", "ack"])"), R"("syn")", answering()) == "no");
  CHECK(equals(masked(R"("syn")"), R"("syn")", answering()) == "yes");
  CHECK(equals(masked(R"(["fin", "syn"])"), R"(["fin", "syn"])") == "no");
  CHECK(equals(masked(R"({"|": ["fin", "rst"]})"), "0") == "yes");
  CHECK(equals(masked(R"("made-up")"), R"("syn")") == "maybe");
  CHECK(equals(masked(R"("syn")"), R"("syn")", over_udp()) == "no");
  CHECK(equals(R"({"&": [{"meta": {"key": "mark"}}, 255]})", "1") == "maybe");
}

TEST_CASE("nft keys: a header that the packet lacks") {
  for (const auto& left :
       {payload("ip6", "saddr"), payload("icmp", "type"), payload("icmpv6", "type"),
        payload("arp", "operation"), payload("vlan", "id"), payload("sctp", "dport"), payload("udp", "dport"),
        fmt::format(R"({{"concat": [{}, {}]}})", payload("ip", "saddr"), payload("udp", "dport"))}) {
    CAPTURE(left);
    const auto parsed = json::parse(left);
    const auto packet = arriving();
    CHECK(Key(parsed.view(), packet).is_absent());
    CHECK(equals(left, "7") == "no");
    CHECK(equals(left, R"("*")") == "no");
  }
  const auto port = json::parse(payload("tcp", "dport"));
  const auto packet = over_udp();
  CHECK(Key(port.view(), packet).is_absent());
  CHECK_FALSE(Key(port.view(), arriving()).is_absent());
}

TEST_CASE("nft keys: the type of the destination") {
  const auto type = [](const char* flags, const char* result = "type") {
    return fmt::format(R"({{"fib": {{"result": "{}", "flags": {}}}}})", result, flags);
  };
  for (const char* const flags : {R"(["daddr"])", R"("daddr")"}) {
    CHECK(equals(type(flags), R"("local")") == "yes");
    CHECK(equals(type(flags), R"("local")", untracked()) == "yes");
    CHECK(equals(type(flags), R"("broadcast")") == "no");
    CHECK(equals(type(flags), R"("local")", answering()) == "no");
    const auto to_sidecar = packet_at(test::sidecar_passage(), Layer::ip, Hook::forward, 0).value();
    CHECK(equals(type(flags), R"("local")", to_sidecar) == "no");
    CHECK(equals(type(flags), R"("local")", in_bridge()) == "maybe");
  }
  CHECK(equals(type(R"(["daddr", "iif"])"), R"("local")") == "maybe");
  CHECK(equals(type(R"(["saddr"])"), R"("local")") == "maybe");
  CHECK(equals(type(R"(["daddr"])", "oif"), "7") == "maybe");
}

TEST_CASE("nft keys: several fields, and elements with more than a value") {
  const auto both = fmt::format(R"({{"concat": [{}, {}]}})", meta("iifname"), payload("tcp", "dport"));
  CHECK(equals(both, R"({"concat": ["br0", 80]})") == "yes");
  CHECK(equals(both, R"({"concat": ["br0", {"range": [79, 81]}]})") == "yes");
  CHECK(equals(both, R"({"concat": ["br0", 81]})") == "no");
  CHECK(equals(both, R"({"concat": [3, 80]})") == "maybe");
  CHECK(equals(both, R"({"concat": [3, 81]})") == "no");
  CHECK(equals(both, R"({"concat": ["br0"]})") == "maybe");
  CHECK(equals(both, R"("br0")") == "maybe");
  CHECK(has_any(both, R"({"concat": ["br0", 80]})") == "yes");
  CHECK(equals(both, R"({"elem": {"val": {"concat": ["br0", 80]}, "timeout": 60}})") == "yes");
  CHECK(equals(payload("tcp", "dport"), R"({"elem": {"val": 80, "comment": "web"}})") == "yes");
  CHECK(equals(payload("tcp", "dport"), R"({"elem": {"comment": "web"}})") == "maybe");
  CHECK(equals(payload("tcp", "dport"), R"("*")") == "yes");
  CHECK(equals(meta("oifname"), R"({"elem": {"val": "*", "counter": null}})") == "yes");
}

TEST_CASE("nft keys: what is not known here is never sure") {
  for (const char* const left :
       {R"({"meta": {"key": "mark"}})", R"({"meta": {}})", R"({"socket": {"key": "transparent"}})",
        R"({"exthdr": {"name": "hbh"}})", R"({"payload": {"base": "nh", "offset": 0, "len": 8}})",
        R"({"payload": {"protocol": "ip", "field": "dscp"}})",
        R"({"payload": {"protocol": "ether", "field": "saddr"}})",
        R"({"payload": {"protocol": "tcp", "field": "window"}})",
        R"({"payload": {"protocol": "th", "field": "flags"}})",
        R"({"&": [{"payload": {"protocol": "th", "field": "flags"}}, 2]})", R"({"&": 7})", R"({"concat": 7})",
        "7", "null", R"({"fib": 7})", R"({"ct": null})"})
    CHECK_MESSAGE(equals(left, "2") == "maybe", std::string(left));
  const auto mark = json::parse(meta("mark"));
  const auto pair = json::parse(fmt::format(R"({{"concat": [{0}, {0}]}})", payload("tcp", "dport")));
  const auto port = json::parse(payload("tcp", "dport"));
  const auto packet = arriving();
  CHECK(Key(mark.view(), packet).is_port_between(0, 65535) == Truth::maybe);
  CHECK(Key(pair.view(), packet).is_port_between(0, 65535) == Truth::maybe);
  CHECK(Key(port.view(), packet).is_port_between(80, 80) == Truth::yes);
  CHECK(Key(port.view(), packet).is_port_between(81, 65535) == Truth::no);
  CHECK(Key(port.view(), packet).is_port_between(0, 79) == Truth::no);
}
