// Encodes ipt_entry blobs. Sources: linux/netfilter_ipv4/ip_tables.h and the xt_*.h headers beside it. Every
// part is padded to XT_ALIGN. The interface mask covers the terminating NUL; otherwise "br1" would match
// "br10".
#include "firewall/entry.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <cstring>

namespace hostnet::firewall {
namespace {

void set_size(xt_entry_match& match, std::size_t size) {
  match.u.match_size = static_cast<std::uint16_t>(size);
}
void set_size(xt_entry_target& target, std::size_t size) {
  target.u.target_size = static_cast<std::uint16_t>(size);
}

// Appends an entry's parts, each zero-padded to the kernel's alignment.
class Blob {
 public:
  Blob() {
    bytes_.reserve(1024);  // more than any of our rules needs
    bytes_.resize(XT_ALIGN(sizeof(ipt_entry)));
  }

  template <class Data>
  void add_match(std::string_view name, std::uint8_t revision, const Data& data) {
    add<xt_entry_match>(name, revision, &data, sizeof data);
  }
  template <class Data>
  void add_target(std::string_view name, std::uint8_t revision, const Data& data) {
    target_offset_ = bytes_.size();
    add<xt_entry_target>(name, revision, &data, sizeof data);
  }

  std::vector<std::byte> finish(const ipt_ip& ip) {
    ipt_entry head{};
    head.ip = ip;
    head.target_offset = static_cast<std::uint16_t>(target_offset_);
    head.next_offset = static_cast<std::uint16_t>(bytes_.size());
    std::memcpy(bytes_.data(), &head, sizeof head);
    return std::move(bytes_);
  }

 private:
  template <class Header>
  void add(std::string_view name, std::uint8_t revision, const void* data, std::size_t size) {
    Header header{};
    const std::size_t whole = XT_ALIGN(sizeof header + size);
    set_size(header, whole);
    name.copy(header.u.user.name, sizeof header.u.user.name - 1);
    header.u.user.revision = revision;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + whole);
    std::memcpy(bytes_.data() + at, &header, sizeof header);
    std::memcpy(bytes_.data() + at + sizeof header, data, size);
  }

  std::vector<std::byte> bytes_;
  std::size_t target_offset_ = 0;
};

void set_interface(const std::string& name, char (&field)[IFNAMSIZ], unsigned char (&mask)[IFNAMSIZ]) {
  if (name.size() >= IFNAMSIZ)
    throw Error(Errc::invalid_argument,
                fmt::format("interface name {} is longer than {} characters", quote(name), IFNAMSIZ - 1));
  if (name.empty()) return;
  name.copy(field, IFNAMSIZ - 1);
  std::memset(mask, 0xff, name.size() + 1);
}

ipt_ip address_part(const Rule& rule) {
  ipt_ip ip{};
  set_interface(rule.in, ip.iniface, ip.iniface_mask);
  set_interface(rule.out, ip.outiface, ip.outiface_mask);
  const auto set = [](const std::optional<Prefix>& prefix, in_addr& address, in_addr& mask) {
    if (!prefix) return;
    mask.s_addr = Ipv4{netmask(prefix->length)}.network();
    address.s_addr = prefix->address.network() & mask.s_addr;
  };
  set(rule.source, ip.src, ip.smsk);
  set(rule.destination, ip.dst, ip.dmsk);
  if (rule.protocol) ip.proto = static_cast<std::uint16_t>(*rule.protocol);
  return ip;
}

void add_mac_match(Blob& blob, const Mac& mac) {
  xt_mac_info match{};
  static_assert(sizeof match.srcaddr == sizeof mac.bytes);
  std::memcpy(match.srcaddr, mac.bytes.data(), sizeof match.srcaddr);
  blob.add_match("mac", 0, match);
}

void add_port_match(Blob& blob, Protocol protocol, std::uint16_t port) {
  if (protocol == Protocol::tcp) {
    const xt_tcp match{.spts = {0, 0xffff}, .dpts = {port, port}};
    blob.add_match("tcp", 0, match);
  } else {
    const xt_udp match{.spts = {0, 0xffff}, .dpts = {port, port}};
    blob.add_match("udp", 0, match);
  }
}

void add_dnat_state(Blob& blob, const DnatState& state) {
  xt_conntrack_mtinfo3 match{};
  match.match_flags = XT_CONNTRACK_STATE;
  match.state_mask = XT_CONNTRACK_STATE_DNAT;
  if (state.negated) match.invert_flags = XT_CONNTRACK_STATE;
  if (const auto original = state.original_destination) {
    match.match_flags |= XT_CONNTRACK_ORIGDST;
    match.origdst_addr.ip = original->network();
    match.origdst_mask.ip = ~0U;
  }
  blob.add_match("conntrack", 3, match);
}

void add_expected(Blob& blob) {
  xt_conntrack_mtinfo3 match{};
  match.match_flags = XT_CONNTRACK_STATUS;
  match.status_mask = IPS_EXPECTED;
  blob.add_match("conntrack", 3, match);
}

void add_reply(Blob& blob) {
  xt_conntrack_mtinfo3 match{};
  match.match_flags = XT_CONNTRACK_DIRECTION;
  match.invert_flags = XT_CONNTRACK_DIRECTION;  // without inversion the flag means the original direction
  blob.add_match("conntrack", 3, match);
}

void add_comment(Blob& blob, const std::string& comment) {
  xt_comment_info match{};
  if (comment.size() >= sizeof match.comment)
    throw Error(Errc::invalid_argument, fmt::format("a rule comment of {} bytes is longer than {}",
                                                    comment.size(), sizeof match.comment - 1));
  comment.copy(match.comment, sizeof match.comment - 1);
  blob.add_match("comment", 0, match);
}

void add_verdict(Blob& blob, const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::dnat) {
    nf_nat_range2 range{};
    range.flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED;
    range.min_addr.ip = range.max_addr.ip = verdict.to.address.network();
    range.min_proto.all = range.max_proto.all = htons(verdict.to.port);
    blob.add_target("DNAT", 2, range);
    return;
  }
  const char* const name = verdict.kind == Verdict::Kind::drop     ? "DROP"
                           : verdict.kind == Verdict::Kind::accept ? "ACCEPT"
                           : verdict.kind == Verdict::Kind::leave  ? "RETURN"
                                                                   : verdict.chain.c_str();
  const int standard_verdict = 0;  // libiptc sets the real verdict from the name
  blob.add_target(name, 0, standard_verdict);
}

}  // namespace

Entry encode(const Rule& rule) {
  const ipt_ip ip = address_part(rule);
  Blob blob;
  if (rule.source_mac) add_mac_match(blob, *rule.source_mac);
  if (rule.protocol) add_port_match(blob, *rule.protocol, rule.destination_port);
  if (rule.dnat_state) add_dnat_state(blob, *rule.dnat_state);
  if (rule.expected) add_expected(blob);
  if (rule.reply) add_reply(blob);
  if (!rule.comment.empty()) add_comment(blob, rule.comment);
  add_verdict(blob, rule.verdict);
  return Entry(blob.finish(ip));
}

std::string signature(const ipt_entry& entry, const char* target) {
  const auto* const start = reinterpret_cast<const char*>(&entry);
  std::string out(reinterpret_cast<const char*>(&entry.ip), sizeof entry.ip);
  const auto add_part = [&](std::size_t offset, std::string_view name, bool with_data) {
    xt_entry_match header{};  // a target's header has the same layout
    std::memcpy(&header, start + offset, sizeof header);
    out.append(name.substr(0, sizeof header.u.user.name)).push_back('\0');
    if (!with_data) return;
    out.push_back(static_cast<char>(header.u.user.revision));
    out.append(start + offset + sizeof header, header.u.match_size - sizeof header);
  };
  for (std::size_t offset = sizeof entry; offset < entry.target_offset;) {
    xt_entry_match header{};
    std::memcpy(&header, start + offset, sizeof header);
    add_part(offset, header.u.user.name, true);
    offset += header.u.match_size;
  }
  // Skip a standard target's data, a verdict or an offset into the table: its name identifies it better.
  const std::string_view name = target;
  xt_entry_target last{};
  std::memcpy(&last, start + entry.target_offset, sizeof last);
  const bool standard = last.u.target_size == XT_ALIGN(sizeof(xt_standard_target));
  add_part(entry.target_offset, name, !standard);
  return out;
}

}  // namespace hostnet::firewall
