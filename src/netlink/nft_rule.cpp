// Interprets rules.
//
// A rule is a small program: some expressions load a value into a register, others compare a register or
// leave the rule by themselves, and the last one usually gives a verdict. Only two questions matter: which
// input interface the rule requires, and whether it requires a DNATed packet. So the reader tracks registers
// with these two values and counts every other comparison: a rule with any may not apply. When in doubt an
// expression counts as such a match: it is better to ask for a rule that already exists than to promise that
// traffic passes.
//
//   ct status dnat     ct status → reg;  reg & 0x20 → reg;  reg != 0
//   iifname "docker0"  meta iifname → reg;  reg == "docker0\0"
//   iifname "docker*"  meta iifname → reg;  reg == "docker"  (a comparison of that length)
#include "netlink/nft_rule.hpp"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_conntrack.h>

#include <algorithm>
#include <map>

namespace hostnet::netlink {
namespace {

// nft keeps a rule's comment in its user data: a list of type (1 byte), length (1 byte) and value.
constexpr unsigned char userdata_comment = 0;

constexpr std::string_view loads[] = {"payload", "exthdr", "byteorder", "socket", "osf",  "rt",
                                      "fib",     "hash",   "numgen",    "tunnel", "xfrm", "inner"};
// These act on the packet or on counters, and always continue with the next expression.
constexpr std::string_view statements[] = {"counter", "log", "last", "notrack", "target"};

template <std::size_t Size>
bool is_one_of(const std::string_view (&names)[Size], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string comment_in_userdata(std::string_view data) {
  while (data.size() >= 2) {
    const auto type = static_cast<unsigned char>(data[0]);
    const auto value = data.substr(2, static_cast<unsigned char>(data[1]));
    if (type == userdata_comment) return std::string(value.substr(0, value.find('\0')));
    data.remove_prefix(2 + value.size());
  }
  return {};
}

class RuleReader {
 public:
  void read(std::string_view name, const nlattr* data);
  NftRule take() { return std::move(rule_); }

 private:
  struct Value {
    enum class What { iifname, ct_status };
    What what;
    std::uint32_t mask = ~0U;
  };

  void meta(const nlattr* data);
  void ct(const nlattr* data);
  void bitwise(const nlattr* data);
  void compare(const nlattr* data);
  void xt_match(const nlattr* data);
  void immediate(const nlattr* data);

  bool compare_iifname(std::uint32_t operation, std::string_view wanted);
  bool compare_status(std::uint32_t operation, std::string_view wanted, std::uint32_t mask);

  NftRule rule_;
  std::map<std::uint32_t, Value> registers_;  // registers with known content
};

void RuleReader::read(std::string_view name, const nlattr* data) {
  if (name == "meta") {
    meta(data);
  } else if (name == "ct") {
    ct(data);
  } else if (name == "bitwise") {
    bitwise(data);
  } else if (name == "cmp") {
    compare(data);
  } else if (name == "match") {
    xt_match(data);
  } else if (name == "immediate") {
    immediate(data);
  } else if (is_one_of(loads, name)) {
    registers_.clear();  // the target register differs by kind; no value of interest is loaded before
  } else if (!is_one_of(statements, name)) {
    ++rule_.other_matches;
  }
}

void RuleReader::meta(const nlattr* data) {
  const Attributes<NFTA_META_MAX> attributes(data);
  if (attributes[NFTA_META_DREG] == nullptr) return;  // sets a mark or similar
  const auto to = get_be32(attributes[NFTA_META_DREG]);
  registers_.erase(to);
  if (get_be32(attributes[NFTA_META_KEY]) == NFT_META_IIFNAME) registers_[to] = {Value::What::iifname};
}

void RuleReader::ct(const nlattr* data) {
  const Attributes<NFTA_CT_MAX> attributes(data);
  if (attributes[NFTA_CT_DREG] == nullptr) return;
  const auto to = get_be32(attributes[NFTA_CT_DREG]);
  registers_.erase(to);
  if (get_be32(attributes[NFTA_CT_KEY]) == NFT_CT_STATUS) registers_[to] = {Value::What::ct_status};
}

void RuleReader::bitwise(const nlattr* data) {
  const Attributes<NFTA_BITWISE_MAX> attributes(data);
  const Attributes<NFTA_DATA_MAX> mask(attributes[NFTA_BITWISE_MASK]);
  const Attributes<NFTA_DATA_MAX> flip(attributes[NFTA_BITWISE_XOR]);
  const auto source = registers_.find(get_be32(attributes[NFTA_BITWISE_SREG]));
  const auto to = get_be32(attributes[NFTA_BITWISE_DREG]);
  const bool plain = get_be32(attributes[NFTA_BITWISE_OP]) == NFT_BITWISE_BOOL &&
                     get_bytes(mask[NFTA_DATA_VALUE]).size() == sizeof(std::uint32_t) &&
                     get<std::uint32_t>(flip[NFTA_DATA_VALUE]) == 0;
  if (plain && source != registers_.end() && source->second.what == Value::What::ct_status) {
    Value masked = source->second;
    masked.mask &= get<std::uint32_t>(mask[NFTA_DATA_VALUE]);
    registers_[to] = masked;
  } else {
    registers_.erase(to);
  }
}

void RuleReader::compare(const nlattr* data) {
  const Attributes<NFTA_CMP_MAX> attributes(data);
  const Attributes<NFTA_DATA_MAX> wanted(attributes[NFTA_CMP_DATA]);
  const auto value = registers_.find(get_be32(attributes[NFTA_CMP_SREG]));
  const auto operation = get_be32(attributes[NFTA_CMP_OP]);
  const auto bytes = get_bytes(wanted[NFTA_DATA_VALUE]);
  const bool understood =
      value != registers_.end() &&
      (value->second.what == Value::What::iifname ? compare_iifname(operation, bytes)
                                                  : compare_status(operation, bytes, value->second.mask));
  if (!understood) ++rule_.other_matches;
}

bool RuleReader::compare_iifname(std::uint32_t operation, std::string_view wanted) {
  if (operation != NFT_CMP_EQ || wanted.empty() || rule_.iifname) return false;
  const auto end = wanted.find('\0');
  rule_.iifname =
      end == std::string_view::npos ? std::string(wanted) + "*" : std::string(wanted.substr(0, end));
  return true;
}

bool RuleReader::compare_status(std::uint32_t operation, std::string_view wanted, std::uint32_t mask) {
  std::uint32_t bits = 0;
  if (wanted.size() != sizeof bits) return false;
  std::memcpy(&bits, wanted.data(), sizeof bits);
  const bool any_of_them = operation == NFT_CMP_NEQ && bits == 0 && mask != ~0U && (mask & IPS_DST_NAT) != 0;
  const bool just_this = operation == NFT_CMP_EQ && bits == IPS_DST_NAT && mask == IPS_DST_NAT;
  if (!any_of_them && !just_this) return false;
  rule_.wants_dnat_status = true;
  return true;
}

void RuleReader::xt_match(const nlattr* data) {
  const Attributes<NFTA_MATCH_MAX> attributes(data);
  const auto name = get_text(attributes[NFTA_MATCH_NAME]);
  const auto info = get_bytes(attributes[NFTA_MATCH_INFO]);
  if (name == "comment") {
    rule_.comment = info.substr(0, info.find('\0'));
    return;
  }
  xt_conntrack_mtinfo3 conntrack{};
  if (name == "conntrack" && get_be32(attributes[NFTA_MATCH_REV]) == 3 && info.size() >= sizeof conntrack) {
    std::memcpy(&conntrack, info.data(), sizeof conntrack);
    if (conntrack.match_flags == XT_CONNTRACK_STATE && conntrack.invert_flags == 0 &&
        (conntrack.state_mask & XT_CONNTRACK_STATE_DNAT) != 0) {
      rule_.wants_dnat_status = true;
      return;
    }
  }
  ++rule_.other_matches;
}

void RuleReader::immediate(const nlattr* data) {
  const Attributes<NFTA_IMMEDIATE_MAX> attributes(data);
  const Attributes<NFTA_DATA_MAX> value(attributes[NFTA_IMMEDIATE_DATA]);
  const Attributes<NFTA_VERDICT_MAX> verdict(value[NFTA_DATA_VERDICT]);
  if (verdict[NFTA_VERDICT_CODE] != nullptr) {
    rule_.accepts = get_be32(verdict[NFTA_VERDICT_CODE]) == NF_ACCEPT;
  } else {
    registers_.erase(get_be32(attributes[NFTA_IMMEDIATE_DREG]));
  }
}

}  // namespace

NftRule parse_rule(const nlmsghdr& header) {
  const Attributes<NFTA_RULE_MAX> attributes(header, sizeof(nfgenmsg));
  RuleReader reader;
  if (const nlattr* list = attributes[NFTA_RULE_EXPRESSIONS]; list != nullptr) {
    auto* expression = static_cast<nlattr*>(nla_data(list));
    for (int left = nla_len(list); nla_ok(expression, left) != 0; expression = nla_next(expression, &left)) {
      const Attributes<NFTA_EXPR_MAX> parts(expression);
      reader.read(get_text(parts[NFTA_EXPR_NAME]), parts[NFTA_EXPR_DATA]);
    }
  }
  auto rule = reader.take();
  if (rule.comment.empty()) rule.comment = comment_in_userdata(get_bytes(attributes[NFTA_RULE_USERDATA]));
  return rule;
}

}  // namespace hostnet::netlink
