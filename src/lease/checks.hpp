// Checks of a request that do not depend on the path that will serve it.
#pragma once

#include "hostnet/exposer.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
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

/// How a path reaches services, and what it says of one that it does not reach.
enum class Loopback {
  ipv4,  ///< 127.0.0.0/8, from a bridge.
  /// The same, and a path that dials from this host can be tried next: a TCP service that only it reaches is
  /// no_path.
  ipv4_or_next,
  either,  ///< Dials from this host: 127.0.0.0/8 and ::1.
};

/// For a path that reaches 127.0.0.0/8 only: the paths after it serve an engine's containers and networks,
/// and a user who forces this path wants no other.
inline Loopback ipv4_loopback(const ExposeRequest& request) {
  const auto kind = request.target.kind();
  const bool has_next = kind == Target::Kind::container || kind == Target::Kind::network;
  return has_next && !request.force ? Loopback::ipv4_or_next : Loopback::ipv4;
}

/// For a path that forwards packets: that the port is no Unix socket and not on [::1]. `path` is "native
/// path", `way` what the ssh path needs. @throws Error{no_path}.
void check_ipv4_service(const HostPort& port, std::string_view path, std::string_view way = "--via ssh");

/// What to type to expose this port in place of the one that was asked for.
using CommandFor = std::function<std::string(const HostPort& instead)>;

/// Checks that a service listens on the port, or that the Unix socket exists. A missing service is a warning
/// in the log, or an error if `required`; both name what listens elsewhere, with `command` for it.
/// @throws Error{not_listening}, Error{no_path} by Loopback::ipv4_or_next.
void check_host_port(const HostPort& port, bool required, Listeners& listeners, Loopback loopback,
                     const CommandFor& command);

/// Whose line the user would type.
enum class Caller {
  command,  ///< `tc-hostnet expose`, or a program for which that does the same.
  program,  ///< Only the port itself can be named.
};

/// check_host_port() for the normalised ports of a request.
void check_host_ports(const ExposeRequest& request, const std::vector<HostPort>& ports, Listeners& listeners,
                      Loopback loopback, Caller caller = Caller::command);

/// Logs a warning that a neighbour can use the lease of one container. `why` comes from why_unpinned();
/// empty: no warning.
void warn_if_unpinned(const std::string& lease, const std::string& why);

}  // namespace hostnet::exposer
