// Lists and deletes conntrack entries with libnl-nf's objects.
//
// For a dump the kernel walks its whole table, empty buckets included: 13 ms for 262,144 buckets, even with
// one entry or none. So the code first asks for the number of entries, which takes microseconds, and has the
// kernel leave out entries without DNAT, which on a busy host are nearly all.
#include "netlink/conntrack.hpp"

#include "netlink/request.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netlink/addr.h>
#include <netlink/netfilter/ct.h>
#include <netlink/netfilter/nfnl.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <new>

namespace hostnet::netlink {
namespace {

using Entry = unique_handle<nfnl_ct, nfnl_ct_put>;
using NlAddress = unique_handle<nl_addr, nl_addr_put>;

// The `repl` argument of libnl's getters.
constexpr int original = 0;
constexpr int reply = 1;

Ipv4 ipv4_of(nl_addr* address) {
  std::uint32_t network = 0;
  if (address != nullptr && nl_addr_get_len(address) == sizeof network) {
    std::memcpy(&network, nl_addr_get_binary_addr(address), sizeof network);
  }
  return Ipv4::from_network(network);
}

NlAddress make_address(Ipv4 address) {
  const std::uint32_t network = address.network();
  NlAddress made(nl_addr_build(AF_INET, &network, sizeof network));
  if (!made) throw std::bad_alloc();
  return made;
}

void parse_flow(const nlmsghdr& header, std::vector<Flow>& flows) {
  nfnl_ct* parsed = nullptr;
  // libnl takes a non-const pointer but only reads.
  if (nfnlmsg_ct_parse(const_cast<nlmsghdr*>(&header), &parsed) < 0) return;
  const Entry entry(parsed);
  const auto protocol = static_cast<Protocol>(nfnl_ct_get_proto(parsed));
  if (nfnl_ct_get_family(parsed) != AF_INET) return;
  if ((nfnl_ct_get_status(parsed) & IPS_DST_NAT) == 0) return;  // kernels before 5.15 do not filter
  if (protocol != Protocol::tcp && protocol != Protocol::udp) return;
  const auto source = [&](int direction) {
    return Endpoint{ipv4_of(nfnl_ct_get_src(parsed, direction)), nfnl_ct_get_src_port(parsed, direction)};
  };
  const auto destination = [&](int direction) {
    return Endpoint{ipv4_of(nfnl_ct_get_dst(parsed, direction)), nfnl_ct_get_dst_port(parsed, direction)};
  };
  flows.push_back({.protocol = protocol,
                   .source = source(original),
                   .destination = destination(original),
                   .reply_source = source(reply),
                   .reply_destination = destination(reply)});
}

constexpr int message_type(int conntrack_message) { return NFNL_SUBSYS_CTNETLINK << 8 | conntrack_message; }

constexpr nfgenmsg ipv4_header{.nfgen_family = AF_INET, .version = NFNETLINK_V0};

// Entries of all families in this netns.
std::uint32_t count_entries(nl_sock* socket) {
  const auto request = make_message(message_type(IPCTNL_MSG_CT_GET_STATS), 0, ipv4_header);
  std::uint32_t count = 0;
  const int error = transact(socket, request.get(), [&](const nlmsghdr& header) {
    const Attributes<CTA_STATS_GLOBAL_MAX> attributes(header, sizeof(nfgenmsg));
    count = get_be32(attributes[CTA_STATS_GLOBAL_ENTRIES]);
  });
  if (error == EINVAL) {
    throw Error(Errc::failure, "list conntrack entries: this kernel has no nf_conntrack_netlink", {}, error);
  }
  if (error != 0) throw Error::from_errno("list conntrack entries", error);
  return count;
}

}  // namespace

std::vector<Flow> conntrack_flows() {
  const auto socket = open_socket(NETLINK_NETFILTER);
  if (count_entries(socket.get()) == 0) return {};
  const auto request = make_message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, ipv4_header);
  put(request.get(), CTA_STATUS, htonl(IPS_DST_NAT));
  std::vector<Flow> flows;
  if (const int error = dump(socket.get(), request.get(), flows, parse_flow); error != 0) {
    throw Error::from_errno("list conntrack entries", error);
  }
  return flows;
}

bool delete_flow(const Flow& flow) {
  const auto what = fmt::format("delete the {} conntrack entry {} – {}", to_string(flow.protocol),
                                flow.source.to_string(), flow.destination.to_string());
  const Entry entry(nfnl_ct_alloc());
  if (!entry) throw std::bad_alloc();
  nfnl_ct_set_family(entry.get(), AF_INET);
  nfnl_ct_set_proto(entry.get(), static_cast<std::uint8_t>(flow.protocol));
  // The kernel finds an entry by its original direction and ignores the reply direction.
  const auto source = make_address(flow.source.address);
  const auto destination = make_address(flow.destination.address);
  int error = nfnl_ct_set_src(entry.get(), original, source.get());
  if (error == 0) error = nfnl_ct_set_dst(entry.get(), original, destination.get());
  nfnl_ct_set_src_port(entry.get(), original, flow.source.port);
  nfnl_ct_set_dst_port(entry.get(), original, flow.destination.port);
  nl_msg* built = nullptr;
  if (error == 0) error = nfnl_ct_build_delete_request(entry.get(), 0, &built);
  const Message request(built);
  if (error < 0) throw Error(Errc::failure, fmt::format("{}: {}", what, nl_geterror(error)));

  const auto socket = open_socket(NETLINK_NETFILTER);
  const int answer = transact(socket.get(), request.get());
  if (answer == ENOENT) return false;
  if (answer != 0) throw Error::from_errno(what, answer);
  return true;
}

}  // namespace hostnet::netlink
