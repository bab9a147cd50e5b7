// Whether an engine's own process answers at a Unix socket, here, and not the end of a tunnel.
//
// `ssh -L`, socat and the like leave a socket that looks as an engine's does, owner and all; what answers
// there is another machine's engine, whose bridges may have namesakes here. No answer of its own can tell.
// The kernel can: it knows which socket ours is connected to, and that one is open in a process, which is
// called dockerd or podman, in our network namespace, or is not.
#pragma once

#include "core/deadline.hpp"
#include "engine/address.hpp"

namespace hostnet::engine {

/// Whether what answers there is a process of Docker's or Podman's in the calling thread's network namespace.
/// Makes a connection of its own and pings. False where it cannot be seen.
///
/// Root sees who has the other end. Other users see who listens; where that is pid 1, which passes the socket
/// on when it is first connected to, an engine's process of root's that is here has to do.
/// @throws Error as Client's calls.
bool serves_from_here(const Address& address, Deadline deadline);

}  // namespace hostnet::engine
