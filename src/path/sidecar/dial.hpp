// Connects to the sidecar's sshd, which may still be starting.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ip.hpp"

#include <functional>
#include <string>

namespace hostnet::ssh {

/// Connects until an SSH banner arrives, and returns that connection with the banner unread: OpenSSH 9.8 and
/// later penalise connections that are closed without a login (PerSourcePenalties). Calls `still_there` some
/// four times a second; it throws when further attempts are useless.
/// @throws Error: timed_out, and what `still_there` throws.
Fd dial_sshd(IpEndpoint endpoint, Deadline deadline, const std::function<void()>& still_there);

/// Makes a connection that may hang up at once. @throws Error; failure: the next attempt may succeed.
using Connect = std::function<Fd(Deadline)>;

/// The same by `connect`, which leads to `where`, for messages.
Fd dial_sshd(const std::string& where, const Connect& connect, Deadline deadline,
             const std::function<void()>& still_there);

}  // namespace hostnet::ssh
