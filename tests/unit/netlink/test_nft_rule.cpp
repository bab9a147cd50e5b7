// Parsing a rule from bytes: valid rules are understood, and no damaged one leads outside the message.
// tests/netns/netlink/test_nft_tables.cpp tests that real rules look like this.
#include "netlink/nft_rule.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_conntrack.h>

#include <functional>
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

// A rule of these expressions, each of which fills the message.
using Expressions = std::vector<std::function<void(nl_msg*)>>;
NftRule rule_of(const Expressions& expressions, std::string_view userdata = {}) {
  const auto message =
      make_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, nfgenmsg{.nfgen_family = NFPROTO_IPV4});
  nest(message.get(), NFTA_RULE_EXPRESSIONS, [&] {
    for (const auto& add : expressions) add(message.get());
  });
  if (!userdata.empty()) put(message.get(), NFTA_RULE_USERDATA, userdata.data(), userdata.size());
  return parse_rule(*nlmsg_hdr(message.get()));
}

// Loads the value into register 1, as nft's rules do.
auto load(const char* name, std::uint32_t key, std::uint32_t to = NFT_REG_1) {
  static_assert(int{NFTA_META_DREG} == int{NFTA_CT_DREG} && int{NFTA_META_KEY} == int{NFTA_CT_KEY});
  return [=](nl_msg* message) {
    expression(message, name, [&] {
      put_be32(message, NFTA_META_DREG, to);
      put_be32(message, NFTA_META_KEY, key);
    });
  };
}
const auto kLoadIifname = load("meta", NFT_META_IIFNAME);
const auto kLoadStatus = load("ct", NFT_CT_STATUS);

auto compare(std::string_view data, std::uint32_t operation = NFT_CMP_EQ, std::uint32_t from = NFT_REG_1) {
  return [=, data = std::string(data)](nl_msg* message) {
    expression(message, "cmp", [&] {
      put_be32(message, NFTA_CMP_SREG, from);
      put_be32(message, NFTA_CMP_OP, operation);
      nest(message, NFTA_CMP_DATA, [&] { put(message, NFTA_DATA_VALUE, data.data(), data.size()); });
    });
  };
}
std::string bytes_of(std::uint32_t number) { return {reinterpret_cast<const char*>(&number), sizeof number}; }
auto compare_number(std::uint32_t number, std::uint32_t operation) {
  return compare(bytes_of(number), operation);
}

// reg 1 = (reg 1 & mask) ^ flip
auto mask_with(const std::string& mask, std::uint32_t flip = 0, std::uint32_t operation = NFT_BITWISE_BOOL) {
  return [=](nl_msg* message) {
    expression(message, "bitwise", [&] {
      put_be32(message, NFTA_BITWISE_SREG, NFT_REG_1);
      put_be32(message, NFTA_BITWISE_DREG, NFT_REG_1);
      put_be32(message, NFTA_BITWISE_OP, operation);
      nest(message, NFTA_BITWISE_MASK, [&] { put(message, NFTA_DATA_VALUE, mask.data(), mask.size()); });
      nest(message, NFTA_BITWISE_XOR, [&] { put(message, NFTA_DATA_VALUE, flip); });
    });
  };
}

auto bare(const char* name) {
  return [=](nl_msg* message) { expression(message, name, [] {}); };
}

auto xt_match(const char* name, const void* info, std::size_t size, std::uint32_t revision) {
  return [=, info = std::string(static_cast<const char*>(info), size)](nl_msg* message) {
    expression(message, "match", [&] {
      put(message, NFTA_MATCH_NAME, std::string(name));
      put_be32(message, NFTA_MATCH_REV, revision);
      put(message, NFTA_MATCH_INFO, info.data(), info.size());
    });
  };
}

auto verdict(std::uint32_t code) {
  return [=](nl_msg* message) {
    expression(message, "immediate", [&] {
      put_be32(message, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      nest(message, NFTA_IMMEDIATE_DATA,
           [&] { nest(message, NFTA_DATA_VERDICT, [&] { put_be32(message, NFTA_VERDICT_CODE, code); }); });
    });
  };
}

using namespace std::string_view_literals;

}  // namespace

TEST_CASE("an interface that the rule requires") {
  const auto whole = rule_of({kLoadIifname, compare("br0\0"sv), verdict(NF_ACCEPT)});
  CHECK(whole.iifname == "br0");
  CHECK(whole.other_matches == 0);
  CHECK(whole.accepts);
  CHECK(rule_of({kLoadIifname, compare("docker")}).iifname == "docker*");  // a comparison of that length
  CHECK_FALSE(rule_of({verdict(NF_DROP)}).accepts);
  // Neither a negation, nor nothing to compare with, nor a second comparison is understood.
  const auto negated = rule_of({kLoadIifname, compare("br0\0"sv, NFT_CMP_NEQ)});
  CHECK_FALSE(negated.iifname);
  CHECK(negated.other_matches == 1);
  CHECK(rule_of({kLoadIifname, compare("")}).other_matches == 1);
  const auto twice = rule_of({kLoadIifname, compare("br0\0"sv), compare("br1\0"sv)});
  CHECK(twice.iifname == "br0");
  CHECK(twice.other_matches == 1);
}

TEST_CASE("a register that holds something else") {
  for (const auto& between :
       {load("meta", NFT_META_OIFNAME), load("ct", NFT_CT_STATE), load("meta", NFT_META_MARK)}) {
    const auto rule = rule_of({kLoadIifname, between, compare("br0\0"sv)});
    CHECK_FALSE(rule.iifname);
    CHECK(rule.other_matches == 1);
  }
  CHECK(rule_of({kLoadIifname, load("meta", NFT_META_MARK, NFT_REG_2), compare("br0\0"sv)}).iifname == "br0");
  CHECK_FALSE(rule_of({kLoadIifname, bare("payload"), compare("br0\0"sv)}).iifname);
  CHECK_FALSE(rule_of({kLoadIifname, compare("br0\0"sv, NFT_CMP_EQ, NFT_REG_2)}).iifname);
  // A number that is put into the register.
  const auto constant = [](nl_msg* message) {
    expression(message, "immediate", [&] {
      put_be32(message, NFTA_IMMEDIATE_DREG, NFT_REG_1);
      nest(message, NFTA_IMMEDIATE_DATA, [&] { put(message, NFTA_DATA_VALUE, std::string("br0")); });
    });
  };
  const auto rule = rule_of({kLoadIifname, constant, compare("br0\0"sv)});
  CHECK_FALSE(rule.iifname);
  CHECK_FALSE(rule.accepts);
  // Statements that set a mark load nothing.
  CHECK(rule_of({kLoadIifname, bare("meta"), bare("ct"), bare("counter"), bare("log"), compare("br0\0"sv)})
            .iifname == "br0");
}

TEST_CASE("the status of a DNATed packet") {
  const auto dnat = mask_with(bytes_of(IPS_DST_NAT));
  const auto understood = [](const Expressions& expressions) {
    const auto rule = rule_of(expressions);
    CHECK(rule.other_matches == (rule.wants_dnat_status ? 0 : 1));
    return rule.wants_dnat_status;
  };
  CHECK(understood({kLoadStatus, dnat, compare_number(0, NFT_CMP_NEQ)}));
  CHECK(understood({kLoadStatus, dnat, compare_number(IPS_DST_NAT, NFT_CMP_EQ)}));
  CHECK(understood(
      {kLoadStatus, mask_with(bytes_of(IPS_DST_NAT | IPS_SRC_NAT)), compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadStatus, mask_with(bytes_of(IPS_SRC_NAT)), compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadStatus, compare_number(0, NFT_CMP_NEQ)}));  // without a mask: any status
  CHECK_FALSE(understood({kLoadStatus, compare_number(IPS_DST_NAT, NFT_CMP_EQ)}));
  CHECK_FALSE(understood({kLoadStatus, dnat, compare_number(0, NFT_CMP_EQ)}));
  CHECK_FALSE(understood({kLoadStatus, dnat, compare_number(IPS_DST_NAT, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadStatus, dnat, compare("dn")}));
  // Masks that are none, or of something else.
  CHECK_FALSE(understood({kLoadStatus, mask_with(bytes_of(IPS_DST_NAT), 1), compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadStatus, mask_with("dn"), compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadStatus, mask_with(bytes_of(IPS_DST_NAT), 0, NFT_BITWISE_LSHIFT),
                          compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({kLoadIifname, dnat, compare_number(0, NFT_CMP_NEQ)}));
  CHECK_FALSE(understood({dnat, compare_number(0, NFT_CMP_NEQ)}));
}

TEST_CASE("matches of xtables") {
  xt_conntrack_mtinfo3 dnat{};
  dnat.match_flags = XT_CONNTRACK_STATE;
  dnat.state_mask = XT_CONNTRACK_STATE_DNAT;
  const auto match = [](const xt_conntrack_mtinfo3& info, std::uint32_t revision = 3,
                        std::size_t size = sizeof(xt_conntrack_mtinfo3)) {
    return rule_of({xt_match("conntrack", &info, size, revision)});
  };
  CHECK(match(dnat).wants_dnat_status);
  CHECK(match(dnat).other_matches == 0);
  const auto unclear = [](const NftRule& rule) { return !rule.wants_dnat_status && rule.other_matches == 1; };
  CHECK(unclear(match(dnat, 2)));
  CHECK(unclear(match(dnat, 3, sizeof dnat - 1)));
  auto negated = dnat;
  negated.invert_flags = XT_CONNTRACK_STATE;
  CHECK(unclear(match(negated)));
  auto more = dnat;
  more.match_flags |= XT_CONNTRACK_ORIGDST;
  CHECK(unclear(match(more)));
  auto established = dnat;
  established.state_mask = XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED);
  CHECK(unclear(match(established)));
  CHECK(unclear(rule_of({xt_match("mac", &dnat, sizeof dnat, 3)})));
  const auto commented = rule_of({xt_match("comment", "web\0rest", 8, 0)}, "\0\4nft"sv);
  CHECK(commented.comment == "web");
  CHECK(commented.other_matches == 0);
}

TEST_CASE("a comment in the rule's user data, behind other data, cut off, or missing") {
  CHECK(rule_of({}, "\7\2ab\0\3hi\0"sv).comment == "hi");
  CHECK(rule_of({}, "\0\2hi"sv).comment == "hi");
  CHECK(rule_of({}, "\0\77hi"sv).comment == "hi");  // says that it is longer than it is
  CHECK(rule_of({}, "\7\77ab"sv).comment.empty());
  CHECK(rule_of({}, "\7"sv).comment.empty());
}

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
