// The daemon's event loop: bus messages, signals, work from other threads, and timers.
#pragma once

#include "daemon/config.hpp"

namespace hostnet::daemon {

/// Serves the bus until SIGTERM, SIGINT, or the configured idle timeout. When the bus goes away, leases that
/// do not depend on it stay, and the daemon waits for the bus to return.
///
/// The calling thread is the bus thread. It blocks only in poll(2) and on replies of the bus; workers do
/// everything else that may block. It feeds the service manager's watchdog unless a worker is stuck: the
/// daemon is useless then, and the service manager may kill it.
/// @throws Error when the bus cannot be reached, the name is taken, or adopting leases fails.
void serve(const Config& config);

}  // namespace hostnet::daemon
