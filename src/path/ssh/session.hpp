// One authenticated SSH session with the sidecar, driven without blocking.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "path/ssh/key.hpp"
#include "path/ssh/libssh.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace hostnet::ssh {

/// Our key, and the sidecar's.
struct Identity {
  const Key& client;            ///< Logs in as kUser.
  const std::string& host_key;  ///< The only accepted host key, as Key::public_line().
  /// Called when the host key is seen to be that one, before the login; may throw.
  std::function<void(Deadline)> before_login = nullptr;
};

/// How long each stage took.
struct SessionTimes {
  std::chrono::microseconds handshake{0};  ///< Key exchange and host key.
  std::chrono::microseconds login{0};      ///< Public key authentication and the forced command.
  std::chrono::microseconds forwards{0};   ///< All of listen().
};

/// Used by one thread at a time. After any Error, only destroy the session.
class Session {
 public:
  /// Does the handshake on a connected stream socket, checks the host key, logs in and starts the forced
  /// command: sshd sets TCP_NODELAY on its side only for sessions that run a command, and the sidecar counts
  /// its owner as alive while the command runs.
  /// @throws NotOurSshd in the handshake: timed_out, conflict (another host key: another server answers),
  ///         failure; then Error: timed_out, not_authorised (the key is refused), failure; each names the stage.
  /// `handshake` bounds that part alone. Also what identity.before_login throws.
  Session(Fd connected, const Identity& identity, Deadline deadline, Deadline handshake = Deadline::never());
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Ends it without waiting for data in flight; drain first.
  ~Session();

  /// Makes the sidecar listen on a port of kListenAddress. @throws Error: conflict when it refuses,
  /// timed_out, failure.
  void listen(std::uint16_t port, Deadline deadline);

  /// Polls the socket once: reads at most one buffer, writes what it can, and runs channel callbacks. Returns
  /// whether there may be more to read. @throws Error{failure} when the session is lost.
  bool turn();
  /// @throws Error{failure} when the session is lost; any call of libssh may have found that.
  void check() const;
  /// Whether bytes wait that the kernel has not taken.
  [[nodiscard]] bool has_output() const;
  /// The number of these bytes; up to a tenth too high.
  [[nodiscard]] std::uint64_t backlog();
  /// Bytes read from the socket so far.
  [[nodiscard]] std::uint64_t received() const noexcept { return bytes_.in_bytes; }
  /// Gathers output until release(): the first packet in the kernel (TCP_CORK, tcp(7)), all others in libssh,
  /// for which TCP_NOTSENT_LOWAT makes the socket not writable. Without it libssh makes a system call for
  /// each packet. Returns false, and does nothing, while earlier output waits: a socket that took nothing
  /// although libssh held it for writable would end the session.
  bool hold();
  /// Ends hold(): the first packet goes at once, all others with the next turn().
  void release();
  /// Sends a keepalive; turn() receives the answer. Never blocks.
  void ping();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] ssh_session handle() const noexcept { return session_.get(); }
  /// As negotiated: "aes128-gcm@openssh.com".
  [[nodiscard]] std::string cipher() const;
  [[nodiscard]] const SessionTimes& times() const noexcept { return times_; }

 private:
  void shake_hands(const std::string& host_key, Deadline deadline);
  template <class Call>
  int complete(const char* stage, Deadline deadline, Call call);
  [[nodiscard]] std::string last_error() const;

  const Libssh& lib_;
  ssh_counter_struct bytes_{};    // of the socket; libssh writes here while the session lives
  ssh_counter_struct packets_{};  // before encryption
  std::uint64_t settled_ = 0;     // packets_ minus bytes_ when the output was last empty
  SessionHandle session_;
  EventHandle event_;
  ssh_channel command_ = nullptr;
  int fd_ = -1;
  SessionTimes times_;
};

}  // namespace hostnet::ssh
