// Reads interfaces, addresses and routes: one request each, parsed as it arrives, without libnl's caches.
#include "netlink/link.hpp"

#include "netlink/devconf.hpp"
#include "netlink/request.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include <algorithm>

namespace hostnet::netlink {
namespace {

// The counters are most of an interface's message, and nothing here uses them.
constexpr std::uint32_t without_counters = RTEXT_FILTER_SKIP_STATS;

bool route_localnet_of(const nlattr* af_spec) {
  const Attributes<AF_INET> families(af_spec);
  const Attributes<IFLA_INET_MAX> inet(families[AF_INET]);
  const auto settings =
      get_bytes(inet[IFLA_INET_CONF]);  // an array of 32-bit numbers, indexed by IPV4_DEVCONF_* minus one
  std::uint32_t value = 0;
  constexpr std::size_t offset = (IPV4_DEVCONF_ROUTE_LOCALNET - 1) * sizeof value;
  if (settings.size() < offset + sizeof value) return false;
  std::memcpy(&value, settings.data() + offset, sizeof value);
  return value != 0;
}

// NETNSA_NSID_NOT_ASSIGNED is -1.
std::optional<int> number_of_netns(const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  const auto number = get<std::int32_t>(attribute);
  return number >= 0 ? std::optional(number) : std::nullopt;
}

void parse_link(const nlmsghdr& header, std::vector<Link>& links) {
  const Attributes<IFLA_MAX> attributes(header, sizeof(ifinfomsg));
  const auto info = payload<ifinfomsg>(header);
  const Attributes<IFLA_INFO_MAX> kind(attributes[IFLA_LINKINFO]);
  links.push_back({.ifindex = info.ifi_index,
                   .name = std::string(get_text(attributes[IFLA_IFNAME])),
                   .kind = std::string(get_text(kind[IFLA_INFO_KIND])),
                   .master = get<int>(attributes[IFLA_MASTER]),
                   .peer = get<int>(attributes[IFLA_LINK]),
                   .peer_elsewhere = attributes[IFLA_LINK_NETNSID] != nullptr,
                   .peer_netns = number_of_netns(attributes[IFLA_LINK_NETNSID]),
                   .up = (info.ifi_flags & IFF_UP) != 0,
                   .route_localnet = route_localnet_of(attributes[IFLA_AF_SPEC])});
}

void parse_address(const nlmsghdr& header, std::vector<Address>& addresses) {
  const Attributes<IFA_MAX> attributes(header, sizeof(ifaddrmsg));
  const auto info = payload<ifaddrmsg>(header);
  // On a point-to-point interface IFA_ADDRESS is the peer's address.
  const auto* own = attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  addresses.push_back({.ifindex = static_cast<int>(info.ifa_index),
                       .address = Ipv4::from_network(get<std::uint32_t>(own)),
                       .prefix = info.ifa_prefixlen});
}

void parse_route(const nlmsghdr& header, std::vector<Route>& routes) {
  const Attributes<RTA_MAX> attributes(header, sizeof(rtmsg));
  const auto info = payload<rtmsg>(header);
  const auto table =
      attributes[RTA_TABLE] != nullptr ? get<std::uint32_t>(attributes[RTA_TABLE]) : info.rtm_table;
  const bool local = table == RT_TABLE_LOCAL;
  // The local table also contains broadcast addresses.
  if (local ? info.rtm_type != RTN_LOCAL : table != RT_TABLE_MAIN) return;
  Route route{.destination = Ipv4::from_network(get<std::uint32_t>(attributes[RTA_DST])),
              .prefix = info.rtm_dst_len,
              .ifindex = get<int>(attributes[RTA_OIF]),
              .local = local};
  auto hops = get_bytes(attributes[RTA_MULTIPATH]);
  if (hops.empty()) routes.push_back(route);
  rtnexthop hop{};
  while (hops.size() >= sizeof hop) {
    std::memcpy(&hop, hops.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop) return;
    route.ifindex = hop.rtnh_ifindex;
    routes.push_back(route);
    hops.remove_prefix(std::min<std::size_t>(hops.size(), NLMSG_ALIGN(hop.rtnh_len)));
  }
}

// Lists IPv4 addresses of one interface, or of all (0), here or in the netns with that number. Returns errno.
int list_addresses(nl_sock* socket, int ifindex, std::optional<int> netns, std::vector<Address>& addresses) {
  const auto request =
      make_message(RTM_GETADDR, NLM_F_DUMP,
                   ifaddrmsg{.ifa_family = AF_INET, .ifa_index = static_cast<std::uint32_t>(ifindex)});
  if (netns) put(request.get(), IFA_TARGET_NETNSID, static_cast<std::uint32_t>(*netns));
  const int error = dump(socket, request.get(), addresses, parse_address);
  if (error == ENODEV) addresses.clear();  // the interface is gone, and its addresses with it
  if (ifindex != 0)
    std::erase_if(addresses, [&](const Address& address) { return address.ifindex != ifindex; });
  return error == ENODEV ? 0 : error;
}

std::optional<Link> get_link(nl_sock* socket, int ifindex, const std::string& name) {
  const auto request = make_message(RTM_GETLINK, 0, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = ifindex});
  if (!name.empty()) put(request.get(), IFLA_IFNAME, name);
  put(request.get(), IFLA_EXT_MASK, without_counters);
  std::vector<Link> found;
  const int error =
      transact(socket, request.get(), [&](const nlmsghdr& header) { parse_link(header, found); });
  if (error == ENODEV || (error == 0 && found.empty())) return std::nullopt;
  if (error != 0) {
    throw Error::from_errno(name.empty() ? fmt::format("look up interface {}", ifindex)
                                         : fmt::format("look up interface {}", name),
                            error);
  }
  return found.front();
}

}  // namespace

Rtnl::Rtnl() : Rtnl(open_socket(NETLINK_ROUTE)) {}

Rtnl::Rtnl(Socket socket) : socket_(std::move(socket)) {
  // Makes the kernel filter a dump by ifindex. Kernels before 4.20 cannot; addresses() filters for these.
  const int on = 1;
  ::setsockopt(nl_socket_get_fd(socket_.get()), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
}

std::optional<Link> Rtnl::link(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  return get_link(socket_.get(), 0, std::string(name));
}

std::optional<Link> Rtnl::link(int ifindex) {
  if (ifindex <= 0) return std::nullopt;
  return get_link(socket_.get(), ifindex, {});
}

std::vector<Link> Rtnl::links() {
  const auto request = make_message(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{.ifi_family = AF_UNSPEC});
  put(request.get(), IFLA_EXT_MASK, without_counters);
  std::vector<Link> links;
  if (const int error = dump(socket_.get(), request.get(), links, parse_link); error != 0) {
    throw Error::from_errno("list interfaces", error);
  }
  return links;
}

std::vector<Address> Rtnl::addresses(int ifindex) {
  std::vector<Address> addresses;
  if (const int error = list_addresses(socket_.get(), ifindex, std::nullopt, addresses); error != 0) {
    throw Error::from_errno(
        ifindex == 0 ? "list addresses" : fmt::format("list addresses of interface {}", ifindex), error);
  }
  return addresses;
}

std::vector<Address> Rtnl::addresses_elsewhere(int netns, int ifindex) {
  if (ifindex <= 0) return {};  // the kernel would list all interfaces
  std::vector<Address> addresses;
  const int error = list_addresses(socket_.get(), ifindex, netns, addresses);
  if (error == EINVAL) return {};  // no netns has that number
  if (error != 0)
    throw Error::from_errno(
        fmt::format("list addresses of interface {} in network namespace {}", ifindex, netns), error);
  return addresses;
}

ProcessNetns Rtnl::netns_number(int attribute, std::uint32_t value) {
  const auto request = make_message(RTM_GETNSID, 0, rtgenmsg{.rtgen_family = AF_UNSPEC});
  put(request.get(), attribute, value);
  ProcessNetns found{.is_there = true};
  const int error = transact(socket_.get(), request.get(), [&](const nlmsghdr& header) {
    const Attributes<NETNSA_MAX> attributes(header, sizeof(rtgenmsg));
    found.number = number_of_netns(attributes[NETNSA_NSID]);
  });
  if (error == ESRCH) return {};
  if (error != 0) throw Error::from_errno("look up the number of a network namespace", error);
  return found;
}

ProcessNetns Rtnl::netns_of_process(pid_t pid) {
  return pid <= 0 ? ProcessNetns{} : netns_number(NETNSA_PID, static_cast<std::uint32_t>(pid));
}

std::optional<int> Rtnl::netns_number(int netns_fd) {
  return netns_number(NETNSA_FD, static_cast<std::uint32_t>(netns_fd)).number;
}

std::vector<Route> Rtnl::routes() {
  const auto request = make_message(RTM_GETROUTE, NLM_F_DUMP, rtmsg{.rtm_family = AF_INET});
  std::vector<Route> routes;
  if (const int error = dump(socket_.get(), request.get(), routes, parse_route); error != 0) {
    throw Error::from_errno("list routes", error);
  }
  return routes;
}

bool has_address(const std::vector<Address>& addresses, Ipv4 address) {
  return std::ranges::find(addresses, address, &Address::address) != addresses.end();
}

std::vector<Ipv4> distinct(const std::vector<Address>& addresses) {
  std::vector<Ipv4> out;
  for (const auto& one : addresses)
    if (std::ranges::find(out, one.address) == out.end()) out.push_back(one.address);
  return out;
}

}  // namespace hostnet::netlink
