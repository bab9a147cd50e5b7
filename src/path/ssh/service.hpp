// The service on this host to which a forwarded connection is joined.
#pragma once

#include "core/fd.hpp"

#include <cstdint>
#include <string>

namespace hostnet::ssh {

/// A TCP port of this host's loopback, or a Unix socket.
struct Service {
  std::uint16_t port = 0;  ///< 127.0.0.1 first, ::1 when nobody listens there. 0: `path` is meant.
  std::string path;        ///< Of a stream socket; absolute.
};

enum class Dialled : std::uint8_t {
  connected,
  pending,  ///< TCP only: wait until the socket is writable, then ask pending_error().
  refused,  ///< Nobody listens, the path may not be used, or a Unix socket's queue is full.
};

struct Dial {
  Dialled outcome = Dialled::refused;
  Fd socket;  ///< Non-blocking, TCP_NODELAY; empty when refused.
};

/// Connects without blocking. On the loopback the answer is nearly always there at once.
/// @throws Error{failure} when there are no descriptors left.
Dial dial(const Service& service);

/// What became of a pending socket that is writable now: 0, or the errno of its failure.
int pending_error(int socket);

}  // namespace hostnet::ssh
