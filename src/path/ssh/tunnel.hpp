// The reverse tunnel of one lease: its sessions, the threads that run them, and their coming back after a
// loss.
//
// Ports are dealt out to lanes. A lane is one session with one pump in one thread. A single session keeps the
// order of everything in it, so that a ping on one port waits behind bulk on another (some 50 ms); two lanes
// cost one more handshake of some 25 ms, run on two processors here and in the sidecar, and cure that.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"
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
  /// Gives a connected TCP socket on which the sidecar's sshd has sent its banner, not read yet. Called from
  /// several threads at once, again for each attempt. @throws Error; not_found means that there is no sidecar
  /// any more and no attempt can succeed.
  std::function<Fd(Deadline)> dial;
  Key client;                                 ///< Logs in.
  std::string host_key;                       ///< The sidecar's, as Key::public_line().
  std::map<std::uint16_t, Service> services;  ///< By the port that the container dials; not empty.
  std::optional<std::vector<Ipv4>> sources;   ///< As Policy has them.
  unsigned most_lanes = 2;
  std::chrono::milliseconds give_up{30'000};  ///< A lost session is tried to be restored for that long.
  std::chrono::milliseconds drain{500};       ///< Open connections get that long to end, on close().
  /// Called from a thread of the tunnel, with no lock held, when the state has changed; not for the first
  /// `up`, which the constructor tells.
  std::function<void(TunnelState, const std::string& reason)> on_state;
};

/// How long setting up took.
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

  /// Ends all sessions, having let open connections end for settings.drain. Idempotent.
  void close() noexcept;
  /// The worst of its lanes'.
  [[nodiscard]] TunnelState state() const;
  [[nodiscard]] state::TunnelStats stats() const;
  /// Who may connect from now on.
  void set_sources(std::optional<std::vector<Ipv4>> sources) { policy_.set_sources(std::move(sources)); }
  /// The slowest lane's times at the first connection.
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
  std::mutex joining_;        // held while the lanes' threads are joined; never by one of them
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
