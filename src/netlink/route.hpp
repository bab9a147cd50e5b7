// Asks the kernel how it would send a packet, and which policy rule decides that.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hostnet::netlink {

/// The kernel's answer to `ip route get`.
struct RouteAnswer {
  int error = 0;    ///< errno: EINVAL blackhole, EHOSTUNREACH unreachable, EACCES prohibit, ENETUNREACH none.
  int ifindex = 0;  ///< Outgoing interface.
};

/// How a packet of this host would go. `source` must be an address of this host. @throws Error.
RouteAnswer route_to(Ipv4 destination, std::optional<Ipv4> source = std::nullopt);

/// Tells a host's own addresses from all others, as the kernel does that delivers packets. Not thread-safe.
class OwnAddresses {
 public:
  /// Those of the calling thread's network namespace. @throws Error.
  OwnAddresses();
  /// Those of the network namespace of this socket of NETLINK_ROUTE.
  explicit OwnAddresses(Socket socket) : socket_(std::move(socket)) {}
  /// @throws Error.
  bool has(Ipv4 address);

 private:
  Socket socket_;
};

/// A rule of `ip rule`, beside the kernel's own three.
struct PolicyRule {
  std::uint32_t preference = 0;
  Ipv4 source;
  unsigned source_length = 0;  ///< 0: any.
  Ipv4 destination;
  unsigned destination_length = 0;
};

/// IPv4 policy rules in their order, without those for the tables local, main and default. @throws Error.
std::vector<PolicyRule> policy_rules();

/// The most specific route of table main that rejects packets to that address: "blackhole 198.18.0.2/32", as
/// `ip route` takes it; empty if there is none. @throws Error.
std::string rejecting_route(Ipv4 destination);

}  // namespace hostnet::netlink
