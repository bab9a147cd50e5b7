// Reaching the sidecar's sshd, which may still be starting.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"

#include <functional>

namespace hostnet::ssh {

/// Connects until an SSH banner arrives, and gives that very connection, the banner unread: a connection that
/// is opened and closed just to look would count against us in OpenSSH 9.8 and later (PerSourcePenalties).
/// `still_there` is asked some four times a second and throws when there is no use in trying on.
/// @throws Error: timed_out, and what `still_there` throws.
Fd dial_sshd(Endpoint endpoint, Deadline deadline, const std::function<void()>& still_there);

}  // namespace hostnet::ssh
