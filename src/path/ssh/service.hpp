// The service of this host that a forwarded connection is joined to.
#pragma once

#include "core/fd.hpp"

#include <cstdint>
#include <string>

namespace hostnet::ssh {

/// A TCP port of this host's loopback, or a Unix socket.
struct Service {
  std::uint16_t port = 0;  ///< 0: use `path`.
  std::string path;        ///< Of a stream socket; absolute.
  /// As in HostPort. Empty: 127.0.0.1, else ::1 when nothing listens there.
  std::string address = {};
};

enum class Dialled : std::uint8_t {
  connected,
  pending,  ///< TCP only: wait until the socket is writable, then ask pending_error().
  refused,  ///< Nothing listens, the path is not accessible, or a Unix socket's queue is full.
};

struct Dial {
  Dialled outcome = Dialled::refused;
  Fd socket;  ///< Non-blocking, TCP_NODELAY; empty when refused.
};

/// Connects without blocking. On the loopback the result is nearly always immediate.
/// @throws Error{failure} when there are no descriptors left.
Dial dial(const Service& service);

/// The result of a pending socket that is writable now: 0 or an errno.
int pending_error(int socket);

}  // namespace hostnet::ssh
