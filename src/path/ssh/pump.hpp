// Moves bytes between the channels of one session and the services of this host, in one thread.
//
// Theory of operation
//
// One loop, no thread per connection. A round: wait with epoll; read from the service sockets that have
// something, at most one buffer full each, and write it into their channels; then turn the session until its
// socket has no more to give, during which libssh hands over what arrived for each channel. Fairness follows:
// in one round nobody gets more than one buffer's worth. What many services have answered goes to the sidecar
// some kilobytes at a time: a system call and a waking of sshd for each answer would cost more than the
// answer.
//
// Back-pressure. Towards the host, what a service's socket does not take stays in libssh's channel buffer and
// is not credited to the channel's window, so that sshd stops reading from that container's connection, and
// from no other. libssh's windows are large (1.28 MB, and a second one once the first was handed over), so
// when all channels together hold more than kStoreLimit, the session is read only as fast as services take
// it, or at a trickle when they take nothing. Towards the container, a socket is not read while its channel
// has no window; and none is read while more than kOutputLimit bytes wait for the session's own socket.
//
// Ends. A shutdown for writing goes through in both directions as such. A reset by the service closes the
// channel at once. A channel that is closed by the sidecar while the service still may send means that the
// container's end has gone: the service gets a reset. sshd says "end of file" and "closed" in one breath
// then, so the former is passed on when all that has come was read: a service that had seen it would take the
// reset for an orderly end.
//
// A connection is refused, with nothing touched on this host but the connect() itself, when its originator is
// none of the lease's sources (the channel-open request names it, RFC 4254 section 7.2) or when nobody
// listens.
//
// libssh calls back from within its own functions, and reads the session within each write to a channel. So
// in a callback nothing is freed and nothing is sent: connections that have ended are put on a list, which is
// worked off between two turns. And whoever waits for a window looks again after every byte that was read,
// whoever read it.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "path/ssh/service.hpp"
#include "path/ssh/session.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hostnet::ssh {

class Connection;

/// Who may connect to which service; shared by all sessions of a lease. Thread-safe.
class Policy {
 public:
  /// `services` by the port that the container dials. Without sources it is for everybody on the sidecar's
  /// networks; with an empty list it is not known yet for whom, and who comes is kept waiting for a moment.
  Policy(std::map<std::uint16_t, Service> services, std::optional<std::vector<Ipv4>> sources);

  /// Replaces the sources. Connections that are open stay.
  void set_sources(std::optional<std::vector<Ipv4>> sources);
  /// The service for a connection, or null when it shall be refused. Blocks for at most kPatience while the
  /// sources are not known: only the container that is about to become the source can have come by then.
  [[nodiscard]] const Service* admit(std::uint16_t port, std::string_view originator) const;
  [[nodiscard]] const std::map<std::uint16_t, Service>& services() const noexcept { return services_; }

 private:
  static constexpr std::chrono::seconds kPatience{5};

  const std::map<std::uint16_t, Service> services_;
  mutable std::mutex mutex_;
  mutable std::condition_variable known_;
  std::optional<std::vector<Ipv4>> sources_;
};

/// What a pump has done; read by other threads while it runs.
struct Counters {
  std::atomic<std::uint64_t> accepted{0};         ///< Connections joined to a service.
  std::atomic<std::uint64_t> strangers{0};        ///< Refused for their origin or their port.
  std::atomic<std::uint64_t> unserved{0};         ///< Refused because nobody listened.
  std::atomic<std::uint64_t> bytes_to_host{0};    ///< Payload.
  std::atomic<std::uint64_t> bytes_from_host{0};  ///< Payload.
  std::atomic<std::int64_t> open{0};              ///< Connections now.
};

/// Used by one thread, but for stop().
class Pump {
 public:
  /// All must outlive it. The session's forwards should be set up by now, or be set up before run().
  Pump(Session& session, const Policy& policy, Counters& counters);
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  /// Runs until stop(), in a thread that is its own: it changes the scheduling policy. Then the connections
  /// are given `drain` to end by themselves and no new ones are accepted; afterwards the rest is cut. Waits,
  /// but not for long, until the sidecar has delivered what was read from the services.
  /// @throws Error{failure} when the session is lost; all connections are cut.
  void run(std::chrono::milliseconds drain);
  /// Thread-safe, and takes effect also when called before run().
  void stop() noexcept;

 private:
  friend class Connection;

  static int on_message(ssh_session session, ssh_message message, void* self);
  bool open_connection(ssh_message message);
  void round(std::chrono::milliseconds limit);
  void wait(std::chrono::milliseconds limit);
  void turn_session();
  void pass_on_ends();
  void retry_blocked();
  void bury();
  void update_session_interest();
  void look_for_life();
  [[nodiscard]] bool overfull() const;

  const Libssh& lib_;
  Session& session_;
  const Policy& policy_;
  Counters& counters_;
  Fd everything_;  // epoll: the session, the wake-up and all services
  Fd essential_;   // epoll: the session and the wake-up alone, while congested
  Fd wake_;
  bool stopping_ = false;
  bool session_ready_ = false;
  std::uint32_t session_interest_ = 0;
  std::size_t buffered_ = 0;        // bytes for services that these have not taken yet, of all connections
  std::uint64_t looked_after_ = 0;  // bytes read from the session when the blocked ones were last looked at
  std::uint64_t heard_ = 0;         // … and when a sign of life was last looked for
  std::chrono::steady_clock::time_point last_heard_;
  bool pinged_ = false;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> unsettled_;  // the container's end of file has come
  std::vector<Connection*> blocked_;    // no window, or bytes that libssh did not take
  std::vector<Connection*> ended_;      // the sidecar is to be told
  std::vector<Connection*> closed_;     // to be freed
  std::vector<std::uint8_t> scratch_;
};

}  // namespace hostnet::ssh
