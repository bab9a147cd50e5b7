// The binary form of rules: sizes, alignment, and the signature that identifies a rule.
#include "firewall/entry.hpp"
#include "hostnet/error.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <cstring>
#include <set>

using namespace hostnet;
using namespace hostnet::firewall;

namespace {

Rule dnat(std::uint16_t port) {
  return {.in = "br0",
          .destination = Prefix{{0x0a000001}, 32},
          .protocol = Protocol::tcp,
          .destination_port = port,
          .comment = "tc-hostnet:0a",
          .verdict = {Verdict::Kind::dnat, {}, {kLoopback, 8088}}};
}

}  // namespace

TEST_CASE("a DNAT rule has the kernel's layout") {
  const auto entry = encode(dnat(80));
  const auto* const head = entry.get();
  CHECK(head->target_offset % 8 == 0);
  CHECK(head->next_offset % 8 == 0);
  CHECK(std::string(head->ip.iniface) == "br0");
  // The mask covers the NUL: "br0" must not match "br01".
  CHECK(head->ip.iniface_mask[3] == 0xff);
  CHECK(head->ip.iniface_mask[4] == 0);
  CHECK(head->ip.proto == IPPROTO_TCP);
  CHECK(ntohl(head->ip.dst.s_addr) == 0x0a000001);

  const auto* const bytes = reinterpret_cast<const char*>(head);
  xt_entry_target target{};
  std::memcpy(&target, bytes + head->target_offset, sizeof target);
  CHECK(std::string(target.u.user.name) == "DNAT");
  CHECK(target.u.user.revision == 2);
  CHECK(head->target_offset + target.u.target_size == head->next_offset);
  nf_nat_range2 range{};
  std::memcpy(&range, bytes + head->target_offset + sizeof target, sizeof range);
  CHECK(ntohl(range.min_addr.ip) == 0x7f000001);
  CHECK(ntohs(range.min_proto.all) == 8088);
  CHECK(ntohs(range.max_proto.all) == 8088);
}

TEST_CASE("an interface name of 15 characters fits, one of 16 does not") {
  Rule rule{.in = std::string(15, 'x'), .verdict = {}};
  CHECK(encode(rule).get()->ip.iniface_mask[15] == 0xff);
  rule.in = std::string(16, 'x');
  CHECK_THROWS_AS(encode(rule), Error);
}

TEST_CASE("a comment of 255 bytes fits, one of 256 does not") {
  Rule rule{.comment = std::string(255, 'c'), .verdict = {}};
  CHECK_NOTHROW(encode(rule));
  rule.comment += 'c';
  CHECK_THROWS_AS(encode(rule), Error);
}

TEST_CASE("rules with any difference have different signatures, equal ones the same") {
  std::vector<Rule> rules{dnat(80), dnat(81)};
  auto add = [&](auto change) {
    rules.push_back(dnat(80));
    change(rules.back());
  };
  add([](Rule& r) { r.in = "br1"; });
  add([](Rule& r) { r.out = "br0"; });
  add([](Rule& r) { r.source = Prefix{{0x0a000002}, 32}; });
  add([](Rule& r) { r.source = kLoopbackNet; });
  add([](Rule& r) { r.destination.reset(); });
  add([](Rule& r) { r.protocol = Protocol::udp; });
  add([](Rule& r) { r.comment = "tc-hostnet:0b"; });
  add([](Rule& r) { r.dnat_state = DnatState{}; });
  add([](Rule& r) { r.reply = true; });
  add([](Rule& r) { r.expected = true; });
  add([](Rule& r) { r.dnat_state = DnatState{.negated = true, .original_destination = {}}; });
  add([](Rule& r) { r.dnat_state = DnatState{.negated = false, .original_destination = Ipv4{1}}; });
  add([](Rule& r) { r.verdict.to.port = 1; });
  add([](Rule& r) { r.verdict = {Verdict::Kind::drop, {}, {}}; });
  std::set<std::string> signatures;
  for (const auto& rule : rules) {
    const auto* const target = rule.verdict.kind == Verdict::Kind::dnat ? "DNAT" : "DROP";
    const auto one = encode(rule);
    const auto two = encode(rule);
    CHECK(signature(*one.get(), target) == signature(*two.get(), target));
    signatures.insert(signature(*one.get(), target));
  }
  CHECK(signatures.size() == rules.size());
}

TEST_CASE("a verdict is a standard target of that name") {
  const auto target_of = [](Verdict verdict) {
    const auto entry = encode({.verdict = std::move(verdict)});
    xt_entry_target target{};
    std::memcpy(&target, reinterpret_cast<const char*>(entry.get()) + entry.get()->target_offset,
                sizeof target);
    CHECK(target.u.target_size == XT_ALIGN(sizeof(xt_standard_target)));
    return std::string(target.u.user.name);
  };
  CHECK(target_of({Verdict::Kind::drop, {}, {}}) == "DROP");
  CHECK(target_of({Verdict::Kind::accept, {}, {}}) == "ACCEPT");
  CHECK(target_of({Verdict::Kind::leave, {}, {}}) == "RETURN");
  CHECK(target_of({Verdict::Kind::jump, "TCHN-IN", {}}) == "TCHN-IN");
}

TEST_CASE("the verdict in a standard target does not count, its name does") {
  const auto entry = encode({.verdict = {Verdict::Kind::drop, {}, {}}});
  CHECK(signature(*entry.get(), "DROP") != signature(*entry.get(), "ACCEPT"));
}

TEST_CASE("an Ethernet address is part of a rule's signature") {
  auto one = dnat(80);
  one.source_mac = Mac::parse("02:00:00:00:00:07");
  auto two = one;
  two.source_mac = Mac::parse("02:00:00:00:00:08");
  const auto of = [](const Rule& rule) { return signature(*encode(rule).get(), "DNAT"); };
  CHECK(of(one) == of(one));
  CHECK(of(one) != of(two));
  CHECK(of(one) != of(dnat(80)));
}
