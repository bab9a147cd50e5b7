// The service of this host that a relayed connection is joined to.
#pragma once

#include "core/fd.hpp"
#include "hostnet/port.hpp"

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::relay {

/// A socket address of any family. A value.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// @throws Error{invalid_argument} for text that is no address of that family.
Address ipv4_address(std::string_view address, std::uint16_t port);
Address ipv6_address(std::string_view address, std::uint16_t port);
/// A Unix stream socket. @throws Error{invalid_argument} for a path that is too long.
Address unix_address(std::string_view path);

/// The addresses of one service: a connection goes to the first that does not refuse it.
struct Service {
  std::vector<Address> addresses;

  /// The port's address; without one 127.0.0.1, else (TCP) ::1 when nothing listens there; or the Unix socket.
  /// @throws Error{invalid_argument}
  static Service of(const HostPort& port);
};

enum class Dialled : std::uint8_t {
  connected,
  pending,  ///< TCP only: wait until the socket is writable, then read SO_ERROR.
  refused,  ///< Nothing listens, or the path is not accessible.
  later,    ///< No descriptor is free, or a Unix socket's queue is full: try again.
};

struct Dial {
  Dialled outcome = Dialled::refused;
  Fd socket;  ///< Non-blocking, TCP_NODELAY; empty when refused or later.
};

/// Connects without blocking. On the loopback the result is nearly always immediate.
Dial dial(const Service& service) noexcept;

}  // namespace hostnet::relay
