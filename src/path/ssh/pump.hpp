// Moves bytes between the channels of one session and the services of this host, in one thread.
//
// Theory of operation
//
//   state      event                                              next
//   running    stop()                                             draining: accepts no connection
//   draining   no connection left, or `drain` passes              farewell: cuts the rest
//   farewell   all closed and sent, or 500 ms (kFarewell) pass    run() returns
//   any        no byte for 3 s (kSilence)                         same; sends a keepalive
//   any        no byte for 9 s, or the session ends               lost: run() throws
//
//   condition                                            effect
//   512 KiB wait for the session (kOutputLimit)          reads no service
//   32 MiB wait for the services (kStoreLimit)           reads the session as the services take bytes, or
//                                                        once per 20 ms (kTrickle) in which they take none
//   more than 2 services ready (kFew)                    gathers answers: up to 8 KiB (kHeldLimit)
//   64 reads of the session in a round (kTurnsPerRound)  polls the services
//   sources not known yet                                admit() waits up to 5 s (kPatience)
//
// One loop, no thread per connection. A round waits with epoll; reads from each ready service at most one
// buffer and writes it into its channel; then turns the session until its socket is empty, while libssh hands
// over the data of each channel. So in one round no connection gets more than one buffer. Answers of many
// services go to the sidecar some kilobytes at a time: a system call and a wake-up of sshd for each answer
// would cost more than the answer.
//
// Back-pressure. Towards the host, bytes that a service's socket does not take stay in libssh's channel
// buffer and are not credited to the channel's window, so sshd stops reading that container's connection and
// no other. libssh's windows are large (1.28 MB, and a second one once the first was handed over): hence
// kStoreLimit for all channels together. Towards the container, a socket is not read while its channel has no
// window, and no socket is read over kOutputLimit.
//
// Ends. A shutdown for writing passes as such in both directions. A reset by the service closes the channel
// at once. When the sidecar closes a channel while the service may still send, the container's end has gone:
// the service gets a reset. sshd then sends "end of file" and "closed" together, so an end of file is passed
// on only when all received data has been read: a service that had seen it would take the reset for an
// orderly end.
//
// Refusals. The pump refuses a connection whose originator is not one of the lease's sources (the
// channel-open request names it, RFC 4254 section 7.2), or whose service does not listen. This host
// sees at most the connect().
//
// libssh calls back from within its own functions, and reads the session within each write to a channel. So a
// callback frees nothing and sends nothing: it puts ended connections on a list, which bury() handles between
// two turns. A connection that waits for a window is retried after every byte read, whichever call read it.
#pragma once

#include "core/fd.hpp"
#include "core/ip.hpp"
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

/// Which source may connect to which service; shared by all sessions of a lease. Thread-safe.
class Policy {
 public:
  /// `services` by the port that the container dials. nullopt for `sources` admits every address on the
  /// sidecar's networks that is not in `barred`; an empty list means that the source is not known yet, and admit()
  /// waits for it.
  Policy(std::map<std::uint16_t, Service> services, std::optional<std::vector<Ip>> sources,
         std::vector<Subnet> barred = {});

  /// Replaces the sources. Open connections stay.
  void set_sources(std::optional<std::vector<Ip>> sources);
  /// The service for a connection, or null to refuse it. Blocks for at most kPatience while the sources are
  /// not known: until then only the container that will become the source can connect.
  [[nodiscard]] const Service* admit(std::uint16_t port, std::string_view originator) const;
  [[nodiscard]] const std::map<std::uint16_t, Service>& services() const noexcept { return services_; }

 private:
  static constexpr std::chrono::seconds kPatience{5};

  const std::map<std::uint16_t, Service> services_;
  const std::vector<Subnet> barred_;
  mutable std::mutex mutex_;
  mutable std::condition_variable known_;
  std::optional<std::vector<Ip>> sources_;
};

/// What a pump has done. Other threads read it while the pump runs.
struct Counters {
  std::atomic<std::uint64_t> accepted{0};         ///< Connections joined to a service.
  std::atomic<std::uint64_t> strangers{0};        ///< Refused: wrong source or port.
  std::atomic<std::uint64_t> unserved{0};         ///< Refused: the service did not accept.
  std::atomic<std::uint64_t> bytes_to_host{0};    ///< Payload.
  std::atomic<std::uint64_t> bytes_from_host{0};  ///< Payload.
  std::atomic<std::int64_t> open{0};              ///< Open connections.
};

/// Used by one thread, except stop().
class Pump {
 public:
  /// The arguments must outlive it. Set up the session's forwards before run().
  Pump(Session& session, const Policy& policy, Counters& counters);
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  /// Runs until stop(). Then accepts no new connections, gives the open ones `drain` to end, and cuts the
  /// rest. Waits at most kFarewell until the sidecar has delivered what was read from the services.
  /// @throws Error{failure} when the session is lost; all connections are cut.
  void run(std::chrono::milliseconds drain);
  /// Thread-safe. Takes effect even before run().
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
  Fd essential_;   // epoll: only the session and the wake-up, while congested
  Fd wake_;
  bool stopping_ = false;
  bool session_ready_ = false;
  std::uint32_t session_interest_ = 0;
  std::size_t buffered_ = 0;        // bytes that services have not taken yet, of all connections
  std::uint64_t looked_after_ = 0;  // bytes read from the session at the last retry of blocked_
  std::uint64_t heard_ = 0;         // … and when look_for_life() last saw new ones
  std::chrono::steady_clock::time_point last_heard_;
  bool pinged_ = false;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> unsettled_;  // got the container's end of file
  std::vector<Connection*> blocked_;    // no window, or bytes that libssh did not take
  std::vector<Connection*> ended_;      // to send a close
  std::vector<Connection*> closed_;     // to free
  std::vector<std::uint8_t> scratch_;
};

}  // namespace hostnet::ssh
