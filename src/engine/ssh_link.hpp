// This process's way to one engine behind a login: a session of the user's own OpenSSH client, and Unix sockets here
// that lead to the engine's socket and to sidecars there.
//
// Why ssh and not libssh: ssh knows everything that the user's ssh_config, agent, known_hosts, certificates and
// hardware keys say, and libssh does not. Why one session of our own: a login takes some hundred milliseconds, a
// connection in it a few, and a master of the user's may end, or open ports, at any time.
//
//   state        event                                         next
//   -----------  --------------------------------------------  ------------------------------------------------
//   down         a connection is wanted                        logging in; within kPause of a failure: that error
//   logging in   control socket is there                       finding
//   logging in   ssh ends                                      down; login_error()
//   logging in   kLongestLogin                                 down; timed_out
//   finding      the forwarded socket answers a ping           up, by forward
//   finding      it hangs up, a command of dial_commands()     up, by command
//                answers a ping
//   finding      neither answers                               down; engine_unavailable
//   up           ssh ends, or its control socket is gone       down
//   any          the caller's deadline                         the same; timed_out. A login goes on meanwhile
//   any          the process ends, however                     ssh and its folder go with it (core/child.hpp)
//
// By command: the server does not forward (DisableForwarding, AllowStreamLocalForwarding), or the user may not open the
// socket but a command may. A thread accepts connections and gives each to a process of ssh as its standard streams.
//
//   timeout         value    for
//   kPause          1 s      after a failure no other login is tried; kRefusedPause, 10 s, if the server refused it
//   kLongestLogin   30 s     a login, prompts included; ConnectTimeout bounds its TCP connection
//   kLook           5 ms     how often a login is looked at
//
// Everything of it is in one folder of mode 0700 with a name that cannot be foreseen, so no other user reaches the
// sockets in it. No TCP port is ever opened on this machine.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ip.hpp"
#include "engine/address.hpp"
#include "engine/ssh_command.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace hostnet::engine {

inline constexpr std::chrono::seconds kLongestLogin{30};

/// Thread-safe.
class SshLink {
 public:
  /// The link of this process to the engine at an ssh:// address; it does not log in yet. A forked child has others.
  static std::shared_ptr<SshLink> to(const Address& address);

  explicit SshLink(Address address, std::chrono::milliseconds longest_login = kLongestLogin);
  ~SshLink();
  SshLink(const SshLink&) = delete;
  SshLink& operator=(const SshLink&) = delete;

  /// A Unix socket here at which the engine answers. @throws Error: engine_unavailable, not_authorised, timed_out.
  std::string engine_socket(Deadline deadline);

  /// A connection to an endpoint, as that machine sees it. Closed at once if nothing listens, or the server does not
  /// forward. @throws as engine_socket(); failure.
  Fd dial(const IpEndpoint& endpoint, Deadline deadline);
  /// No more connections to that endpoint; frees what dial() made. Logs failures, also that there was no time.
  void forget(const IpEndpoint& endpoint, Deadline deadline) noexcept;

 private:
  struct Session;

  Session& up(Deadline deadline);
  void log_in();
  void await_login(Deadline deadline);
  void find_engine(Deadline deadline);
  [[nodiscard]] bool answers(const std::string& socket, Deadline deadline) const;
  void check_session();
  [[noreturn]] void fail(const Error& error);
  std::unique_lock<std::timed_mutex> locked(Deadline deadline);
  [[noreturn]] void late(const char* stage) const;

  const Address address_;
  const std::chrono::milliseconds longest_login_;
  std::timed_mutex
      mutex_;  // guards what follows; held while it comes up, by the caller whose deadline bounds that
  std::unique_ptr<Session> session_;
  std::optional<Error> failure_;
  Deadline failed_until_ = Deadline::after(std::chrono::milliseconds{0});
};

}  // namespace hostnet::engine
