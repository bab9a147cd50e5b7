// Connects to the sidecar's sshd, which may still be starting, by the first of several ways that leads there.
//
//   way        event                                                    next
//   waiting    it is the first; the one before has had its head start,  dialling
//              or is out
//   dialling   an SSH banner                                            accept(): returns: done; else:
//   dialling   refused, hangs up, no banner; the handshake fails        dialling again after a pause
//   dialling   unreachable; another host key                            out
//   any        the deadline                                             timed_out with each way's reason
//   all out                                                             likewise, at once
//
// A connection without a banner stays open while other ways are tried: its banner may still come. Connections
// without a login are few, as OpenSSH 9.8 and later penalise them (PerSourcePenalties).
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ip.hpp"
#include "hostnet/error.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace hostnet::ssh {

/// What answers did not complete the handshake with our sidecar's host key.
class NotOurSshd : public Error {
 public:
  using Error::Error;
};

/// A stream that something else than a TCP connection carries.
struct Stream {
  Fd socket;                           ///< Non-blocking, connected or about to be.
  std::function<std::string()> words;  ///< Why it has ended; may be empty, and say nothing.
};

/// One way to the sshd.
struct Way {
  std::string text;                                ///< For messages: "its address 172.18.0.3:22".
  IpEndpoint endpoint;                             ///< Where to connect, unless
  std::function<Stream(Deadline)> open = nullptr;  ///< this opens a stream. @throws Error: tried again.
  /// The next way is not tried earlier than that after this one, unless this one is out.
  std::chrono::milliseconds head_start{250};
};

/// Takes a connection with the banner unread; the deadline is the handshake's. @throws NotOurSshd: the next way is
/// tried; other errors end it.
using Accept = std::function<void(Fd connection, Deadline handshake)>;

/// How long a handshake may take while other ways are left. A server that sends a banner and then nothing
/// must not keep us from them; ours takes 10 ms, or much longer on a busy machine.
inline constexpr std::chrono::milliseconds kHandshake{8'000};

/// Dials until `accept` has taken a connection; returns the index of its way. Calls `still_there` some four times
/// a second; it throws when further attempts are useless.
/// @throws Error: timed_out, or conflict for another host key, with the reason against each way, and what `still_there` and `accept`
/// throw.
std::size_t dial_sshd(std::span<const Way> ways, Deadline deadline, const std::function<void()>& still_there,
                      const Accept& accept, std::chrono::milliseconds handshake = kHandshake);

}  // namespace hostnet::ssh
