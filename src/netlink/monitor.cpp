// Subscribes to the kernel's notifications.
#include "netlink/monitor.hpp"

#include "netlink/request.hpp"

#include <fmt/format.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

namespace hostnet::netlink {
namespace {

void subscribe(nl_sock* socket, int group, std::string_view what) {
  const int fd = nl_socket_get_fd(socket);
  // Room for some thousand events, so that a burst is rarely lost. Without CAP_NET_ADMIN this fails, and the
  // default must do.
  const int room = 4 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (::setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    throw Error::from_errno(what, errno);
  }
}

void parse_event(const nlmsghdr& header, std::vector<LinkEvent>& events) {
  if (header.nlmsg_type != RTM_NEWLINK && header.nlmsg_type != RTM_DELLINK) return;
  const Attributes<IFLA_MAX> attributes(header, sizeof(ifinfomsg));
  const auto info = payload<ifinfomsg>(header);
  // In family AF_BRIDGE, RTM_DELLINK means that the interface is no longer a bridge's port.
  const bool removed = header.nlmsg_type == RTM_DELLINK && info.ifi_family == AF_UNSPEC;
  events.push_back({.kind = removed ? LinkEvent::Kind::removed : LinkEvent::Kind::changed,
                    .ifindex = info.ifi_index,
                    .name = std::string(get_text(attributes[IFLA_IFNAME]))});
}

}  // namespace

LinkMonitor::LinkMonitor() : socket_(open_socket(NETLINK_ROUTE)) {
  subscribe(socket_.get(), RTNLGRP_LINK, "watch interfaces");
}

int LinkMonitor::fd() const { return nl_socket_get_fd(socket_.get()); }

std::vector<LinkEvent> LinkMonitor::read() {
  std::vector<LinkEvent> events;
  for (;;) {
    const int error =
        receive(socket_.get(), MSG_DONTWAIT, [&](const nlmsghdr& header) { parse_event(header, events); });
    if (error == EAGAIN) return events;
    if (error == ENOBUFS || error == EMSGSIZE) {
      events.push_back({.kind = LinkEvent::Kind::lost});
    } else if (error != 0) {
      throw Error::from_errno("read interface events", error);
    }
  }
}

NftMonitor::NftMonitor() : socket_(open_socket(NETLINK_NETFILTER)) {
  // Joining the group succeeds even without nf_tables; asking for the generation does not.
  const auto request =
      make_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, nfgenmsg{.version = NFNETLINK_V0});
  const int error = transact(socket_.get(), request.get());
  if (error == EINVAL) throw Error(Errc::failure, "watch nf_tables: this kernel has none", {}, error);
  if (error != 0) throw Error::from_errno("watch nf_tables", error);
  subscribe(socket_.get(), NFNLGRP_NFTABLES, "watch nf_tables");
}

int NftMonitor::fd() const { return nl_socket_get_fd(socket_.get()); }

bool NftMonitor::read() {
  bool changed = false;
  for (;;) {
    const int error = receive(socket_.get(), MSG_DONTWAIT, [&](const nlmsghdr&) { changed = true; });
    if (error == EAGAIN) return changed;
    if (error == ENOBUFS || error == EMSGSIZE) {
      changed = true;
    } else if (error != 0) {
      throw Error::from_errno("read nf_tables events", error);
    }
  }
}

}  // namespace hostnet::netlink
