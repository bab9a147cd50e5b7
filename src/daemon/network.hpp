// Whether an interface is a bridge that callers may expose ports to. The helper asks no engine: what the
// caller says of the network is checked against what the kernel says.
#pragma once

#include "daemon/request.hpp"
#include "netlink/link.hpp"
#include "target/bridge_port.hpp"

#include <string>
#include <vector>

namespace hostnet::daemon {

/// What the kernel says of one interface at one moment.
struct NetworkFacts {
  std::optional<netlink::Link> link;       ///< nullopt: there is none of that number.
  std::vector<Ipv4> addresses;             ///< Its own.
  std::vector<unsigned> prefixes;          ///< Their lengths, in the same order.
  std::vector<std::string> foreign_ports;  ///< Its ports that are not veth.
  bool carries_default_route = false;
  std::vector<Ipv4> bridge_addresses;  ///< Of all bridges of this host.
};

NetworkFacts look_at(netlink::Rtnl& rtnl, int ifindex);

/// The part of the network that a lease needs.
struct Network {
  int ifindex = 0;
  std::string interface;
  bool route_localnet = false;
  std::vector<Ipv4> gateways;  ///< The first is what the alias shall resolve to.

  bool operator==(const Network&) const = default;
};

/// The port of the bridge to which a request's sources can be pinned, or why they cannot.
/// @throws Error{not_found} when one of them is behind two ports: then it is not one container's.
exposer::PortFound find_port(netlink::Rtnl& rtnl, const Request& request);

/// Judges the facts. `allowed` are patterns of interface names, fnmatch(3). Pure.
/// @throws Error{not_found} naming what keeps it from being a network to expose to.
Network judge(const NetworkFacts& facts, const Request& request, const std::vector<std::string>& allowed);

}  // namespace hostnet::daemon
