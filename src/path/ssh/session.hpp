// One authenticated SSH session with the sidecar, driven without blocking.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "path/ssh/key.hpp"
#include "path/ssh/libssh.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace hostnet::ssh {

/// Who we are, and whom we expect.
struct Identity {
  const Key& client;            ///< Logs in as kUser.
  const std::string& host_key;  ///< The one host key that is accepted, as Key::public_line().
};

/// How long each stage took.
struct SessionTimes {
  std::chrono::microseconds handshake{0};  ///< Key exchange and host key.
  std::chrono::microseconds login{0};      ///< Public key authentication and the forced command.
  std::chrono::microseconds forwards{0};   ///< All of listen().
};

/// Used by one thread at a time. After any Error the session is good for nothing but destruction.
class Session {
 public:
  /// Shakes hands over a connected TCP socket, checks the host key, logs in and starts the forced command.
  /// sshd sets TCP_NODELAY on its side of the connection only for sessions that run a command, and the
  /// sidecar takes its owner for alive as long as that one runs.
  /// @throws Error: timed_out, not_authorised (the key is refused), conflict (another host key: somebody else
  ///         answers), failure; each names the stage.
  Session(Fd connected, const Identity& identity, Deadline deadline);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Ends it without waiting for what is in flight; drain first.
  ~Session();

  /// Has the sidecar listen on a port of kListenAddress. @throws Error: conflict when it refuses, timed_out,
  /// failure.
  void listen(std::uint16_t port, Deadline deadline);

  /// One look at the socket: reads at most one buffer full, writes what it can. Channel callbacks run in
  /// here. Returns whether there may be more to read. @throws Error{failure} when the session is lost.
  bool turn();
  /// @throws Error{failure} when the session is lost, which libssh may have noticed in any call.
  void check() const;
  /// Bytes that were to be written have not all gone to the kernel.
  [[nodiscard]] bool has_output() const;
  /// How many these are; up to a tenth too much.
  [[nodiscard]] std::uint64_t backlog();
  /// Bytes read from the socket so far.
  [[nodiscard]] std::uint64_t received() const noexcept { return bytes_.in_bytes; }
  /// Has what is written from now on gather until release(): the first packet in the kernel (TCP_CORK,
  /// tcp(7)), and all others in libssh, to which the socket is not writable meanwhile (TCP_NOTSENT_LOWAT). By
  /// itself libssh makes a system call for each packet. Returns whether it does: not while earlier output
  /// waits, for a socket that were to take nothing although libssh thought it writable would end the session.
  bool hold();
  /// Ends hold(): the first packet goes at once, all others with the next turn().
  void release();
  /// Asks the sidecar for a sign of life, which turn() will see. Never blocks.
  void ping();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] ssh_session handle() const noexcept { return session_.get(); }
  /// As negotiated: "aes128-gcm@openssh.com".
  [[nodiscard]] std::string cipher() const;
  [[nodiscard]] const SessionTimes& times() const noexcept { return times_; }

 private:
  template <class Call>
  int complete(const char* stage, Deadline deadline, Call call);
  [[nodiscard]] std::string last_error() const;

  const Libssh& lib_;
  ssh_counter_struct bytes_{};    // of the socket; libssh writes here as long as the session lives
  ssh_counter_struct packets_{};  // before encryption
  std::uint64_t settled_ = 0;     // what packets_ had beyond bytes_ when the output was last seen empty
  SessionHandle session_;
  EventHandle event_;
  ssh_channel command_ = nullptr;
  int fd_ = -1;
  SessionTimes times_;
};

}  // namespace hostnet::ssh
