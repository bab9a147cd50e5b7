// Checks whether callers may expose ports to an interface. The helper asks no engine: it checks the caller's
// claims about the network against the kernel.
#pragma once

#include "daemon/request.hpp"
#include "netlink/link.hpp"
#include "target/bridge_port.hpp"

#include <string>
#include <vector>

namespace hostnet::daemon {

/// The kernel's view of one interface at one moment.
struct NetworkFacts {
  std::optional<netlink::Link> link;       ///< nullopt: no interface has that ifindex.
  std::vector<Ipv4> addresses;             ///< The interface's own.
  std::vector<unsigned> prefixes;          ///< Prefix lengths, in the same order.
  std::vector<std::string> foreign_ports;  ///< Bridge ports other than veths.
  bool carries_default_route = false;
  std::vector<Ipv4> bridge_addresses;  ///< Addresses of all bridges of this host.
};

NetworkFacts look_at(netlink::Rtnl& rtnl, int ifindex);

/// The facts about a network that a lease needs.
struct Network {
  int ifindex = 0;
  std::string interface;
  bool route_localnet = false;
  std::vector<Ipv4> gateways;  ///< The alias resolves to the first.

  bool operator==(const Network&) const = default;
};

/// The bridge port to which the request's sources can be bound, or why they cannot.
/// @throws Error{not_found} when an address is behind two ports: it does not identify one container then.
exposer::PortFound find_port(netlink::Rtnl& rtnl, const Request& request);

/// Judges the facts. `allowed` contains patterns of interface names (fnmatch(3)). Pure.
/// @throws Error{not_found} naming the reason why ports cannot be exposed to the network.
Network judge(const NetworkFacts& facts, const Request& request, const std::vector<std::string>& allowed);

}  // namespace hostnet::daemon
