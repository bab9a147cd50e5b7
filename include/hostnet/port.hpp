// Which service of the host is reachable in the container, and under which port number.
#pragma once

#include "hostnet/export.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// With the IP protocol numbers of the IANA.
enum class Protocol : std::uint8_t { tcp = 6, udp = 17 };

/// "tcp" or "udp".
HOSTNET_EXPORT const char* to_string(Protocol protocol) noexcept;

/// One exposed service: 127.0.0.1:`host`, or the Unix socket `socket`, on the host is reachable as
/// #kAlias:`container` in the container.
struct HOSTNET_EXPORT HostPort {
  std::uint16_t host = 0;       ///< Port of the service on the host's loopback, 1–65535; 0 with a socket.
  std::uint16_t container = 0;  ///< Port the container dials, 1–65535.
  Protocol protocol = Protocol::tcp;  ///< On both sides.
  std::string socket = {};  ///< Absolute path of a stream socket (unix(7)), 107 bytes at most. ssh path only.

  /// Parses "8088", "5432:15432" (host:container), "/run/db.sock:5432" (socket:container), each optionally
  /// followed by "/tcp", or, but for a socket, "/udp".
  /// @throws Error{invalid_argument} naming what is wrong with which part.
  static HostPort parse(std::string_view text);

  /// The same port number on both sides.
  static HostPort same(std::uint16_t port) { return {port, port, Protocol::tcp}; }

  /// "8088/tcp", "5432:15432/tcp" or "/run/db.sock:5432/tcp"; parse() reads it back.
  [[nodiscard]] std::string to_string() const;
  /// Where the service is on the host: "127.0.0.1:8088" or "/run/db.sock".
  [[nodiscard]] std::string service() const;

  /// By `host`, then `container`, `protocol` and `socket`.
  auto operator<=>(const HostPort&) const = default;
};

/// Sorts, removes duplicates, and checks every port. An empty list stays empty.
/// @throws Error{invalid_argument} for port 0 ("greater than zero") and for a socket that cannot be one,
///         Error{conflict} when one container port is asked to lead to two host ports.
HOSTNET_EXPORT std::vector<HostPort> normalise(std::vector<HostPort> ports);

}  // namespace hostnet
