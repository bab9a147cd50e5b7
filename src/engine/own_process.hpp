// Whether a local engine process answers on a Unix socket, rather than the end of a tunnel.
//
// `ssh -L` and socat make sockets that look like an engine's, owner included, but another machine's engine
// answers there, whose bridges may have the same names as ours. Its answers cannot show that. The kernel can:
// it knows which socket ours is connected to, which process has that one open, and whether that process is
// called dockerd or podman and is in our network namespace.
#pragma once

#include "core/deadline.hpp"
#include "engine/address.hpp"

namespace hostnet::engine {

/// Whether a dockerd or podman process in the calling thread's network namespace answers there. Makes its own
/// connection and pings. False if it cannot find out.
///
/// Root sees the process at the other end. Other users see only the listener. If that is pid 1, which passes
/// the socket on at the first connection, any root-owned engine process in this namespace counts.
/// @throws Error as Client's calls.
bool serves_from_here(const Address& address, Deadline deadline);

}  // namespace hostnet::engine
