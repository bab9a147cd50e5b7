// Changes interfaces, addresses and routes. libnl-route builds the link messages: it knows their nesting by
// kind.
#include "core/strings.hpp"
#include "netlink/devconf.hpp"
#include "netlink/link.hpp"
#include "netlink/request.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/link/veth.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <new>

namespace hostnet::netlink {
namespace {

using RtnlLink = unique_handle<rtnl_link, rtnl_link_put>;

RtnlLink allocate_link() {
  RtnlLink link(rtnl_link_alloc());
  if (!link) throw std::bad_alloc();
  return link;
}

// Takes ownership of a message from one of the rtnl_link_build_*_request() functions.
Message checked(int error, nl_msg* built, std::string_view what) {
  if (error < 0) throw Error(Errc::failure, fmt::format("{}: {}", what, nl_geterror(error)));
  return Message(built);
}

void check_name(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    throw Error(Errc::invalid_argument,
                fmt::format("{} is not a valid interface name: it must have 1 to {} bytes", quote(name),
                            IFNAMSIZ - 1));
  }
}

// "set up docker0 (interface 4)". Call only on failure: the name costs a request.
std::string describe(Rtnl& rtnl, std::string_view operation, int ifindex) {
  const auto link = rtnl.link(ifindex);
  return link ? fmt::format("{} {} (interface {})", operation, link->name, ifindex)
              : fmt::format("{} interface {}", operation, ifindex);
}

// rtnl_link_change() that keeps errno.
void change_link(Rtnl& rtnl, nl_sock* socket, int ifindex, const RtnlLink& changes,
                 std::string_view operation) {
  const auto target = allocate_link();
  rtnl_link_set_ifindex(target.get(), ifindex);
  nl_msg* built = nullptr;
  const int built_error = rtnl_link_build_change_request(target.get(), changes.get(), 0, &built);
  const auto request = checked(built_error, built, operation);
  if (const int error = transact(socket, request.get()); error != 0) {
    const auto what = describe(rtnl, operation, ifindex);
    if (error == ENODEV) throw Error(Errc::not_found, fmt::format("{}: it is gone", what), {}, error);
    throw Error::from_errno(what, error);
  }
}

void add_link(nl_sock* socket, rtnl_link* link, const std::string& what) {
  nl_msg* built = nullptr;
  const int built_error = rtnl_link_build_add_request(link, NLM_F_CREATE | NLM_F_EXCL, &built);
  const auto request = checked(built_error, built, what);
  if (const int error = transact(socket, request.get()); error != 0) throw Error::from_errno(what, error);
}

}  // namespace

void Rtnl::set_route_localnet(int ifindex, bool on) {
  const auto changes = allocate_link();
  const int error = rtnl_link_inet_set_conf(changes.get(), IPV4_DEVCONF_ROUTE_LOCALNET, on ? 1 : 0);
  if (error < 0) throw Error(Errc::failure, fmt::format("set route_localnet: {}", nl_geterror(error)));
  change_link(*this, socket_.get(), ifindex, changes,
              on ? "set route_localnet of" : "clear route_localnet of");
}

void Rtnl::set_master(int ifindex, int master) {
  const auto changes = allocate_link();
  rtnl_link_set_master(changes.get(), master);
  change_link(*this, socket_.get(), ifindex, changes, fmt::format("set master {} of", master));
}

void Rtnl::set_up(int ifindex) {
  const auto changes = allocate_link();
  rtnl_link_set_flags(changes.get(), IFF_UP);
  change_link(*this, socket_.get(), ifindex, changes, "set up");
}

int Rtnl::add_bridge(const std::string& name) {
  check_name(name);
  const auto bridge = allocate_link();
  rtnl_link_set_name(bridge.get(), name.c_str());
  rtnl_link_set_type(bridge.get(), "bridge");
  const auto what = fmt::format("add bridge {}", name);
  add_link(socket_.get(), bridge.get(), what);
  const auto made = link(name);
  if (!made) throw Error::from_errno(what, ENODEV);
  return made->ifindex;
}

void Rtnl::add_veth(const std::string& name, const std::string& peer, int peer_netns_fd) {
  check_name(name);
  check_name(peer);
  const unique_handle<rtnl_link, rtnl_link_veth_release> veth(rtnl_link_veth_alloc());
  if (!veth) throw std::bad_alloc();
  rtnl_link_set_name(veth.get(), name.c_str());
  const RtnlLink far_end(rtnl_link_veth_get_peer(veth.get()));  // holds its own reference
  rtnl_link_set_name(far_end.get(), peer.c_str());
  rtnl_link_set_ns_fd(far_end.get(), peer_netns_fd);
  add_link(socket_.get(), veth.get(), fmt::format("add veth pair {} and {}", name, peer));
}

void Rtnl::add_address(int ifindex, Ipv4 address, unsigned prefix) {
  const auto request = make_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                                    ifaddrmsg{.ifa_family = AF_INET,
                                              .ifa_prefixlen = static_cast<std::uint8_t>(prefix),
                                              .ifa_index = static_cast<std::uint32_t>(ifindex)});
  put(request.get(), IFA_LOCAL, address.network());
  put(request.get(), IFA_ADDRESS, address.network());
  if (const int error = transact(socket_.get(), request.get()); error != 0) {
    throw Error::from_errno(
        describe(*this, fmt::format("add address {}/{} to", address.to_string(), prefix), ifindex), error);
  }
}

void Rtnl::add_default_route(Ipv4 gateway, int ifindex) {
  const auto request = make_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                                    rtmsg{.rtm_family = AF_INET,
                                          .rtm_table = RT_TABLE_MAIN,
                                          .rtm_protocol = RTPROT_STATIC,
                                          .rtm_scope = RT_SCOPE_UNIVERSE,
                                          .rtm_type = RTN_UNICAST});
  put(request.get(), RTA_GATEWAY, gateway.network());
  put(request.get(), RTA_OIF, static_cast<std::uint32_t>(ifindex));
  if (const int error = transact(socket_.get(), request.get()); error != 0) {
    throw Error::from_errno(
        describe(*this, fmt::format("add the default route by {} over", gateway.to_string()), ifindex),
        error);
  }
}

void Rtnl::remove(int ifindex) {
  const auto request = make_message(RTM_DELLINK, 0, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = ifindex});
  const int error = transact(socket_.get(), request.get());
  if (error != 0 && error != ENODEV) throw Error::from_errno(describe(*this, "remove", ifindex), error);
}

}  // namespace hostnet::netlink
