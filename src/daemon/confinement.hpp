// The privileges that the daemon gives up by itself, before it reads anything of another user's.
//
// Its unit takes the same away, and more; where a bus without systemd starts the daemon, nothing else does.
// Left are CAP_NET_ADMIN and CAP_NET_RAW, no program that it starts has more, and a system-call filter with a
// list of what is allowed: all other calls fail with EPERM, which libraries take for a kernel that forbids
// them. In src/daemon/data/tc-hostnetd.service.in the same is in systemd's words; a change belongs into both.
#pragma once

namespace hostnet::daemon {

/// For all threads that are and will be, and for the programs that they start. To be called once, by the
/// first thread, before it has made another. Where the unit has done it already that is no error.
/// @throws Error{failure} naming what could not be given up; then the daemon must not serve.
void confine();

}  // namespace hostnet::daemon
