// A host service and the port under which a container reaches it.
#pragma once

#include "hostnet/export.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// Transport protocol. The values are IANA protocol numbers.
enum class Protocol : std::uint8_t { tcp = 6, udp = 17 };

/// "tcp" or "udp". Never null.
HOSTNET_EXPORT const char* to_string(Protocol protocol) noexcept;

/// One exposed service: a container reaches `address`:`host`, or the Unix socket `socket`, of the host as
/// #kAlias:`container`. A value.
struct HOSTNET_EXPORT HostPort {
  std::uint16_t host = 0;             ///< Port of the host's loopback, 1–65535; 0 with a socket.
  std::uint16_t container = 0;        ///< Port that the container connects to, 1–65535.
  Protocol protocol = Protocol::tcp;  ///< Of both ports.
  std::string socket = {};  ///< Absolute path of a stream socket (unix(7)), at most 107 bytes. ssh and relay.
  std::string address = {};  ///< Of 127.0.0.0/8, or "::1" (TCP; ssh and relay). Empty: 127.0.0.1.

  /// Parses "8088", "5432:15432" (host:container), "127.0.0.53:53:5353" or "[::1]:5173" (with the service's
  /// address before its port), or "/run/db.sock:5432" (socket:container). "/tcp" may follow, and "/udp" after
  /// a port number.
  /// @throws Error{invalid_argument} that names the wrong part.
  static HostPort parse(std::string_view text);

  /// Also parses ranges of at most #kMostInRange ports, as many on both sides: "8088-8090",
  /// "8088-8090:9088-9090", "127.0.0.2:8088-8090". One element for each port, in order.
  /// @throws Error{invalid_argument} that names the wrong part.
  static std::vector<HostPort> parse_range(std::string_view text);
  static constexpr std::size_t kMostInRange = 1024;  ///< Limit of parse_range().

  /// The same TCP port number on both sides.
  static HostPort same(std::uint16_t port) { return {port, port, Protocol::tcp}; }

  /// "8088/tcp", "5432:15432/tcp", "127.0.0.53:53:5353/udp" or "/run/db.sock:5432/tcp". parse() accepts it.
  [[nodiscard]] std::string to_string() const;
  /// The service's address on the host: "127.0.0.1:8088", "[::1]:5173" or "/run/db.sock".
  [[nodiscard]] std::string service() const;

  /// Orders by `host`, `container`, `protocol`, `socket`, `address`.
  auto operator<=>(const HostPort&) const = default;
};

/// Sorts the ports, removes duplicates and checks each one; "127.0.0.1" as an address becomes empty. An empty
/// list stays empty. Thread-safe.
/// @throws Error: invalid_argument for port 0, an unusable socket or an address that is not of the loopback,
/// conflict when one container port leads to two services.
HOSTNET_EXPORT std::vector<HostPort> normalise(std::vector<HostPort> ports);

}  // namespace hostnet
