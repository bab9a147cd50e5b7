// Checks of a request that do not depend on the path that will serve it.
#pragma once

#include "hostnet/exposer.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// What listens where in this network namespace, asked once for all the requests of a call. Not thread-safe.
class Listeners {
 public:
  const std::vector<netlink::Listener>& on(Protocol protocol, std::uint16_t port);

 private:
  std::map<Protocol, std::map<std::uint16_t, std::vector<netlink::Listener>>> by_protocol_;
};

/// The request's ports, normalised. @throws Error: invalid_argument (none, port 0, a bad label), conflict.
std::vector<HostPort> checked_ports(const ExposeRequest& request);

/// Where a path looks for a service.
enum class Loopback {
  ipv4,    ///< On 127.0.0.1 alone.
  either,  ///< There, and on ::1 otherwise.
};

/// Whether somebody listens on the loopback's port, or the Unix socket is there. Nobody is a warning in the
/// log, unless `required`.
/// @throws Error{not_listening}
void check_host_port(const HostPort& port, bool required, Listeners& listeners,
                     Loopback loopback = Loopback::ipv4);

/// Warns of a lease for one container that a neighbour could use in its name; `why` as why_unpinned() has it.
void warn_if_unpinned(const std::string& lease, const std::string& why);

}  // namespace hostnet::exposer
