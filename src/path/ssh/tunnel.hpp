// The reverse tunnel of one lease: its sessions, the threads that run them, and their reconnection.
//
// Ports are distributed over lanes. A lane is one session with one pump in one thread. A single session keeps
// its data in order, so a ping on one port waits behind bulk data on another (some 50 ms). A second lane
// avoids that: it costs one more handshake of some 25 ms, and runs on another processor here and in the
// sidecar.
//
//   lane           event                                            next
//   connecting     session and forwards are set up                  up
//   connecting     error, or the constructor's deadline             failed; the constructor throws
//   up             session lost                                     reconnecting
//   reconnecting   attempt succeeds                                 up
//   reconnecting   attempt fails                                    reconnecting, after a pause
//   reconnecting   not_found (no sidecar), or 30 s (give_up) pass   failed
//   any            close()                                          ended: drains 500 ms, or ends its attempt
//
//   timeout                            value   doubles up to
//   kFirstPause, kLongestPause         50 ms   1 s
//   kFirstAttempt, kLongestAttempt     1 s     5 s
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"
#include "path/sidecar/dial.hpp"
#include "path/ssh/key.hpp"
#include "path/ssh/pump.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::ssh {

enum class TunnelState : std::uint8_t {
  connecting,    ///< Not ready yet.
  up,            ///< All ports are reachable.
  reconnecting,  ///< A session was lost; its ports are not reachable.
  failed,        ///< Given up. Nothing brings it back.
};

/// "connecting", "up", "reconnecting" or "failed".
const char* to_string(TunnelState state) noexcept;

struct TunnelSettings {
  /// Gives connections with the banner of an sshd unread, until one is taken. Called for each attempt, from
  /// several threads at once. @throws Error; not_found means that the sidecar is gone and no attempt can
  /// succeed.
  std::function<void(Deadline, const Accept&)> dial;
  /// As Identity::before_login.
  std::function<void(Deadline)> before_login = nullptr;
  Key client;                                 ///< Logs in.
  std::string host_key;                       ///< The sidecar's, as Key::public_line().
  std::map<std::uint16_t, Service> services;  ///< By the port that the container dials; not empty.
  std::optional<std::vector<Ip>> sources;     ///< As in Policy,
  std::vector<Subnet> barred = {};            ///< likewise.
  unsigned most_lanes = 2;
  std::chrono::milliseconds give_up{30'000};  ///< Time to restore a lost session.
  std::chrono::milliseconds drain{500};       ///< Time for open connections to end, on close().
  /// Called from a thread of the tunnel, with no lock held, after a change of state; not for the first `up`,
  /// which the constructor's return reports.
  std::function<void(TunnelState, const std::string& reason)> on_state;
};

/// Durations of the setup.
struct TunnelTimes : SessionTimes {
  std::chrono::microseconds dial{0};  ///< Until the sidecar's sshd has sent its banner.
};

/// Thread-safe.
class Tunnel {
 public:
  /// Returns when every port is forwarded. @throws Error as Session's constructor, listen() and
  /// settings.dial do: the first failure of any lane.
  Tunnel(TunnelSettings settings, Deadline deadline);
  /// close().
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /// Gives open connections settings.drain to end, then ends all sessions. Idempotent.
  void close() noexcept;
  /// The worst state of all lanes.
  [[nodiscard]] TunnelState state() const;
  [[nodiscard]] state::TunnelStats stats() const;
  /// Sets the allowed sources of new connections.
  void set_sources(std::optional<std::vector<Ip>> sources) { policy_.set_sources(std::move(sources)); }
  /// For each stage, the longest time of any lane at its first connection.
  [[nodiscard]] TunnelTimes times() const;

 private:
  struct Lane;

  void run_lane(Lane& lane, Deadline deadline);
  void connect_lane(Lane& lane, Deadline deadline);
  std::optional<Error> try_to_connect(Lane& lane, Deadline deadline);
  bool restore(Lane& lane, const std::string& reason);
  void set_lane(Lane& lane, TunnelState state, const std::string& reason);
  bool pause(std::chrono::milliseconds span);
  [[nodiscard]] TunnelState worst_state() const;  // under mutex_

  TunnelSettings settings_;
  Policy policy_;
  Counters counters_;
  std::mutex joining_;        // held while joining the lanes' threads; never by one of them
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool closing_ = false;
  std::string reason_;
  std::optional<Error> first_error_;
  std::string cipher_;
  std::uint64_t reconnects_ = 0;
  TunnelTimes times_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace hostnet::ssh
