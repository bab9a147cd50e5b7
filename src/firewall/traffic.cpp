// Reads our nat chain back.
#include "firewall/traffic.hpp"

#include "core/fd.hpp"
#include "firewall/iptables.hpp"
#include "hostnet/error.hpp"

#include <netinet/in.h>

#include <libiptc/libiptc.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace hostnet::firewall {
namespace {

// Copies the data: it may be misaligned in the kernel's blob.
template <class Data>
Data data_after(const xt_entry_match& header) {
  Data data;
  std::memcpy(&data, header.data, sizeof data);
  return data;
}

ForwardTraffic read_forward(const ipt_entry& entry) {
  ForwardTraffic traffic;
  auto& forward = traffic.forward;
  forward.bridge.assign(entry.ip.iniface, ::strnlen(entry.ip.iniface, sizeof entry.ip.iniface));
  forward.gateway = Ipv4::from_network(entry.ip.dst.s_addr);
  if (entry.ip.smsk.s_addr != 0) forward.source = Ipv4::from_network(entry.ip.src.s_addr);
  forward.protocol = entry.ip.proto == IPPROTO_UDP ? Protocol::udp : Protocol::tcp;
  const auto* const base = reinterpret_cast<const std::byte*>(&entry);
  for (std::size_t at = sizeof entry; at + sizeof(xt_entry_match) <= entry.target_offset;) {
    const auto& match = *reinterpret_cast<const xt_entry_match*>(base + at);
    const std::string_view name(match.u.user.name);
    if (name == "tcp") forward.listen = data_after<xt_tcp>(match).dpts[0];
    if (name == "udp") forward.listen = data_after<xt_udp>(match).dpts[0];
    at += match.u.match_size;
  }
  nf_nat_range2 range;
  std::memcpy(&range, base + entry.target_offset + sizeof(xt_entry_target), sizeof range);
  forward.service = Ipv4::from_network(range.min_addr.ip);
  forward.host = ntohs(range.min_proto.all);
  traffic.packets = entry.counters.pcnt;
  traffic.bytes = entry.counters.bcnt;
  return traffic;
}

}  // namespace

std::vector<ForwardTraffic> read_legacy_traffic() {
  std::vector<ForwardTraffic> out;
  if (!table_exists(Table::nat)) return out;
  const unique_handle<xtc_handle, iptc_free> handle(iptc_init("nat"));
  if (!handle) throw Error::from_errno("read table nat of ip_tables", errno);
  const auto* const chain = plan({}, {}).of(Table::nat).chain;
  if (iptc_is_chain(chain, handle.get()) == 0) return out;
  for (const ipt_entry* entry = iptc_first_rule(chain, handle.get()); entry != nullptr;
       entry = iptc_next_rule(entry, handle.get()))
    if (std::strcmp(iptc_get_target(entry, handle.get()), "DNAT") == 0) out.push_back(read_forward(*entry));
  return out;
}

}  // namespace hostnet::firewall
