// Privileges that the daemon drops itself, before it reads any other user's data.
//
// The systemd unit drops these and more, but a bus without systemd starts the daemon without the unit. The
// daemon keeps CAP_NET_ADMIN and CAP_NET_RAW, and so do the programs that it starts. A system-call filter
// admits a list of calls; any other call fails with EPERM, which libraries treat as a kernel that forbids it.
// src/daemon/data/tc-hostnetd.service.in says the same in systemd's terms: change both together.
#pragma once

namespace hostnet::daemon {

/// Applies to all threads, present and future, and to the programs that they start. Call once, from the first
/// thread, before it starts another. Succeeds when the unit has already dropped the privileges.
/// @throws Error{failure} naming what could not be dropped; the daemon must then not serve.
void confine();

}  // namespace hostnet::daemon
