// Finds listeners and cuts live TCP connections, over NETLINK_SOCK_DIAG (sock_diag(7)).
#pragma once

#include "core/ip.hpp"
#include "hostnet/port.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace hostnet::netlink {

/// Of interface lo, in every network namespace.
inline constexpr std::uint32_t kLoopbackDevice = 1;

/// A socket that accepts connections (TCP) or is bound and unconnected (UDP).
struct Listener {
  bool ipv6 = false;
  std::array<std::uint8_t, 16> address{};  ///< Network order; the first four bytes for IPv4.
  std::uint16_t port = 0;
  bool v6only = false;
  uid_t uid = 0;
  std::uint32_t inode = 0;
  std::uint32_t device = 0;  ///< The interface that it is bound to (SO_BINDTODEVICE); 0: any.

  /// Whether packets to this IPv4 address reach it: bound to it, to 0.0.0.0, or to :: without IPV6_V6ONLY.
  /// Ignores the device.
  [[nodiscard]] bool serves(Ipv4 address) const;
  /// Whether packets to ::1 reach it.
  [[nodiscard]] bool serves_ipv6_loopback() const;
  /// The address that it is bound to.
  [[nodiscard]] Ip ip() const;
  /// "127.0.0.1:80", "[::1]:80", "127.0.0.53%lo:53".
  [[nodiscard]] std::string to_string() const;
};

/// All listeners on a port, IPv4 and IPv6, in the calling thread's netns. @throws Error.
std::vector<Listener> listeners(std::uint16_t port, Protocol protocol = Protocol::tcp);

/// All listeners of a protocol, in one dump. @throws Error.
std::vector<Listener> all_listeners(Protocol protocol = Protocol::tcp);

/// Resets one local TCP socket (SOCK_DESTROY, CAP_NET_ADMIN): its program gets ECONNABORTED, the peer an RST.
/// Never touches a listener or a socket in TIME_WAIT. Also finds IPv6 sockets with mapped addresses.
/// @return false when there is no such connection. @throws Error, with EOPNOTSUPP on a kernel without
///         CONFIG_INET_DIAG_DESTROY.
bool destroy_tcp(Endpoint local, Endpoint remote);

/// The inode of the peer of a connected Unix socket in the calling thread's netns, which is named by its
/// inode. 0 when the connection is not accepted yet, the socket does not exist, or the kernel lacks
/// CONFIG_UNIX_DIAG. Needs no privilege. @throws Error.
std::uint32_t unix_peer(std::uint32_t inode);

}  // namespace hostnet::netlink
