// Parsing a rule from bytes: valid rules are understood, and no damaged one leads outside the message.
// tests/netns/netlink/test_nft_tables.cpp tests that real rules look like this.
#include "netlink/nft_rule.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <memory>
#include <random>

using namespace hostnet::netlink;

namespace {

void put_be32(nl_msg* message, int attribute, std::uint32_t value) { put(message, attribute, htonl(value)); }

template <class Fill>
void nest(nl_msg* message, int attribute, Fill fill) {
  nlattr* start = nla_nest_start(message, attribute);
  fill();
  nla_nest_end(message, start);
}

template <class Fill>
void expression(nl_msg* message, const char* name, Fill fill) {
  nest(message, NFTA_LIST_ELEM, [&] {
    put(message, NFTA_EXPR_NAME, std::string(name));
    nest(message, NFTA_EXPR_DATA, fill);
  });
}

// iifname "docker0" tcp-ish-load accept comment "hi"
Message sample_rule() {
  auto message =
      make_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, nfgenmsg{.nfgen_family = NFPROTO_IPV4});
  nl_msg* to = message.get();
  nest(to, NFTA_RULE_EXPRESSIONS, [&] {
    expression(to, "meta", [&] {
      put_be32(to, NFTA_META_DREG, NFT_REG_1);
      put_be32(to, NFTA_META_KEY, NFT_META_IIFNAME);
    });
    expression(to, "cmp", [&] {
      put_be32(to, NFTA_CMP_SREG, NFT_REG_1);
      put_be32(to, NFTA_CMP_OP, NFT_CMP_EQ);
      nest(to, NFTA_CMP_DATA, [&] { put(to, NFTA_DATA_VALUE, std::string("docker0")); });
    });
    expression(to, "made-up", [] {});
    expression(to, "immediate", [&] {
      put_be32(to, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      nest(to, NFTA_IMMEDIATE_DATA,
           [&] { nest(to, NFTA_DATA_VERDICT, [&] { put_be32(to, NFTA_VERDICT_CODE, NF_ACCEPT); }); });
    });
  });
  put(to, NFTA_RULE_USERDATA, "\0\3hi", 5);
  return message;
}

}  // namespace

TEST_CASE("a rule is understood, and an unknown expression counts as a match") {
  const auto rule = parse_rule(*nlmsg_hdr(sample_rule().get()));
  CHECK(rule.accepts);
  CHECK(rule.iifname == "docker0");
  CHECK(rule.other_matches == 1);
  CHECK(rule.comment == "hi");
  CHECK_FALSE(rule.wants_dnat_status);
}

TEST_CASE("a rule without expressions has no match and no verdict") {
  const auto message = make_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, nfgenmsg{});
  const auto rule = parse_rule(*nlmsg_hdr(message.get()));
  CHECK_FALSE(rule.accepts);
  CHECK_FALSE(rule.iifname);
  CHECK(rule.other_matches == 0);
}

TEST_CASE("damaged messages are parsed within their bounds") {
  const auto sample = sample_rule();
  const auto* header = nlmsg_hdr(sample.get());
  const std::size_t size = header->nlmsg_len;
  std::mt19937 random(1);  // the same damage in every run
  unsigned understood = 0;
  for (int round = 0; round < 20000; ++round) {
    // On the heap with the exact size, so that a sanitizer detects a read past the end.
    const std::size_t length = NLMSG_HDRLEN + random() % (size - NLMSG_HDRLEN + 1);
    const std::unique_ptr<char[]> copy(new char[length]);
    std::memcpy(copy.get(), header, length);
    for (unsigned i = random() % 4; i > 0; --i) copy[random() % length] = static_cast<char>(random());
    auto* damaged = reinterpret_cast<nlmsghdr*>(copy.get());
    damaged->nlmsg_len = static_cast<std::uint32_t>(length);
    if (parse_rule(*damaged).iifname == "docker0") ++understood;
  }
  CHECK(understood > 0);
  CHECK(understood < 20000);
}
