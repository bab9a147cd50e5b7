// The counters of all leases, as they were about a second ago.
//
// A property is answered at once, and reading the kernel's tables may take its time: so they are read by a
// worker, all at once, every second while there are leases, and more seldom where a reading is long.
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

/// Not thread-safe: on the connection's loop.
class Counters {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Counters(Worker& looks) : looks_(looks) {}

  /// Has them read when it is time. Returns when it is time again.
  Clock::time_point tick(Clock::time_point now);
  /// Of the last reading: nothing before the first, and for a lease that was granted after it had begun. (The
  /// same rule may have been an earlier lease's then.)
  [[nodiscard]] std::vector<exposer::PortTraffic> of(const state::Lease& lease, const std::string& interface,
                                                     Clock::time_point granted) const;

 private:
  using Key = std::tuple<Protocol, std::uint16_t, std::uint16_t>;  // with the port dialled, and the host's
  using Forwards = std::multimap<Key, firewall::ForwardTraffic>;

  void take(Outcome<Forwards>& reading, Clock::time_point begun);

  Worker& looks_;
  Forwards forwards_;
  Clock::time_point begun_;  // the reading that they are of
  bool reading_ = false;
  Clock::time_point due_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
