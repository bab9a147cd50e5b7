// A host service and the port under which a container reaches it.
#pragma once

#include "hostnet/export.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// Transport protocol. The values are IANA protocol numbers.
enum class Protocol : std::uint8_t { tcp = 6, udp = 17 };

/// "tcp" or "udp". Never null.
HOSTNET_EXPORT const char* to_string(Protocol protocol) noexcept;

/// One exposed service: a container reaches 127.0.0.1:`host`, or the Unix socket `socket`, of the host as
/// #kAlias:`container`. A value.
struct HOSTNET_EXPORT HostPort {
  std::uint16_t host = 0;             ///< Port on the host's 127.0.0.1, 1–65535; 0 with a socket.
  std::uint16_t container = 0;        ///< Port that the container connects to, 1–65535.
  Protocol protocol = Protocol::tcp;  ///< Of both ports.
  std::string socket = {};  ///< Absolute path of a stream socket (unix(7)), at most 107 bytes. ssh path only.

  /// Parses "8088", "5432:15432" (host:container) or "/run/db.sock:5432" (socket:container). "/tcp" may
  /// follow, and "/udp" after a port number.
  /// @throws Error{invalid_argument} that names the wrong part.
  static HostPort parse(std::string_view text);

  /// The same TCP port number on both sides.
  static HostPort same(std::uint16_t port) { return {port, port, Protocol::tcp}; }

  /// "8088/tcp", "5432:15432/tcp" or "/run/db.sock:5432/tcp". parse() accepts it.
  [[nodiscard]] std::string to_string() const;
  /// The service's address on the host: "127.0.0.1:8088" or "/run/db.sock".
  [[nodiscard]] std::string service() const;

  /// Orders by `host`, `container`, `protocol`, `socket`.
  auto operator<=>(const HostPort&) const = default;
};

/// Sorts the ports, removes duplicates and checks each one. An empty list stays empty. Thread-safe.
/// @throws Error: invalid_argument for port 0 or an unusable socket, conflict when one container port leads
/// to two services.
HOSTNET_EXPORT std::vector<HostPort> normalise(std::vector<HostPort> ports);

}  // namespace hostnet
