// Checks of a request that do not depend on the path that will serve it.
#pragma once

#include "hostnet/exposer.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// The listeners of this network namespace, read once per protocol for all requests of a call. Not
/// thread-safe.
class Listeners {
 public:
  const std::vector<netlink::Listener>& on(Protocol protocol, std::uint16_t port);

 private:
  std::map<Protocol, std::map<std::uint16_t, std::vector<netlink::Listener>>> by_protocol_;
};

/// The request's ports, normalised. @throws Error: invalid_argument (none, port 0, a bad label), conflict.
std::vector<HostPort> checked_ports(const ExposeRequest& request);

/// The loopback addresses at which a path reaches a service.
enum class Loopback {
  ipv4,  ///< 127.0.0.1 only.
  /// The same, and a path that reaches ::1 can be tried next: a TCP service that listens there alone is no_path.
  ipv4_or_next,
  either,  ///< 127.0.0.1 first, then ::1.
};

/// For a path that reaches 127.0.0.1 only: the paths after it serve an engine's containers and networks, and
/// a user who forces this path wants no other.
inline Loopback ipv4_loopback(const ExposeRequest& request) {
  const auto kind = request.target.kind();
  const bool has_next = kind == Target::Kind::container || kind == Target::Kind::network;
  return has_next && !request.force ? Loopback::ipv4_or_next : Loopback::ipv4;
}

/// Checks that a service listens on the loopback's port, or that the Unix socket exists. A missing service is
/// a warning in the log, or an error if `required`.
/// @throws Error{not_listening}, Error{no_path} by Loopback::ipv4_or_next.
void check_host_port(const HostPort& port, bool required, Listeners& listeners,
                     Loopback loopback = Loopback::ipv4);

/// Logs a warning that a neighbour can use the lease of one container. `why` comes from why_unpinned();
/// empty: no warning.
void warn_if_unpinned(const std::string& lease, const std::string& why);

}  // namespace hostnet::exposer
