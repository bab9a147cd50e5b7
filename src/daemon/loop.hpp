// The daemon's one loop: the bus, signals, what the other threads have for it, and time.
#pragma once

#include "daemon/config.hpp"

namespace hostnet::daemon {

/// Serves the bus until SIGTERM, SIGINT, or nothing to do for as long as the configuration says. Where the
/// bus goes away, the leases that do not depend on it stay, and it is waited for until it comes back.
///
/// The calling thread is the bus thread. It waits in poll(2) alone: what may take its time is done by the
/// workers. It feeds the service manager's watchdog, unless a worker is stuck: then the daemon is of no use,
/// and the service manager may make an end of it.
/// @throws Error when the bus cannot be reached, the name is taken, or leases cannot be taken on.
void serve(const Config& config);

}  // namespace hostnet::daemon
