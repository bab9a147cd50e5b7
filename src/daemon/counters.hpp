// Counters of all leases, about one second old.
//
// A property needs an immediate answer, but reading the kernel's tables takes time. So a worker reads all
// counters at once, each second while leases exist, and less often when a reading takes long.
#pragma once

#include "daemon/worker.hpp"
#include "firewall/traffic.hpp"
#include "path/native/native.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace hostnet::daemon {

/// Not thread-safe: use on the connection's loop.
class Counters {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Counters(Worker& looks) : looks_(looks) {}

  /// Starts a reading when it is due. Returns when the next is due.
  Clock::time_point tick(Clock::time_point now);
  /// The lease's counters in the last reading. Empty before the first reading, and for a lease granted after
  /// that reading began: the rule may then have belonged to an earlier lease.
  [[nodiscard]] std::vector<exposer::PortTraffic> of(const state::Lease& lease, const std::string& interface,
                                                     Clock::time_point granted) const;

 private:
  using Key = std::tuple<Protocol, std::uint16_t, std::uint16_t>;  // the port dialled, then the host's port
  using Forwards = std::multimap<Key, firewall::ForwardTraffic>;

  void take(Outcome<Forwards>& reading, Clock::time_point begun);

  Worker& looks_;
  Forwards forwards_;
  Clock::time_point begun_;  // when the reading in forwards_ began
  bool reading_ = false;
  Clock::time_point due_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
