// Watches the listeners that leases depend on: with watch-listener, that a listener from the time of the
// grant remains; after a grant by expose-own, that no other user listens.
//
//   leases                                     looks
//   any granted by expose-own                  four a second (kOwnPeriod, 250 ms)
//   others with watch-listener                 one a second (kWatchPeriod, 1 s)
//   none of these                              none
//
// One look serves all leases: a worker lists all listeners of the protocols in use. Only looks that began
// after the grant count for a lease. When no look succeeds for one second (kBlindFor), nothing vouches for
// leases granted by expose-own, and they end.
#pragma once

#include "daemon/lease_object.hpp"
#include "daemon/worker.hpp"
#include "lease/checks.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The reason for LeaseReleased when the current listeners no longer support the lease; else nullptr. Pure.
const char* lost_listener(const HeldLease& held_lease, const ListenerUids& now);

/// Not thread-safe: use on the connection's loop.
class ListenerWatch {
 public:
  using Clock = std::chrono::steady_clock;
  using HeldLeases = std::function<void(const std::function<void(const HeldLease&)>&)>;

  /// `each` visits the leases; `lost` ends one, with the reason.
  ListenerWatch(Worker& looks, HeldLeases each,
                std::function<void(const std::string& id, const char* reason)> lost)
      : looks_(looks), each_(std::move(each)), lost_(std::move(lost)) {}

  /// Looks when it is due. Returns the next due time; nullopt: no lease depends on listeners.
  std::optional<Clock::time_point> tick(Clock::time_point now);
  /// The first look that counts for a lease granted now.
  [[nodiscard]] std::uint64_t next_look() const noexcept { return last_look_ + 1; }

 private:
  void judge(std::uint64_t look, Outcome<std::shared_ptr<exposer::Listeners>>& outcome);

  Worker& looks_;
  HeldLeases each_;
  std::function<void(const std::string&, const char*)> lost_;
  std::uint64_t last_look_ = 0;
  bool looking_ = false;
  Clock::time_point due_;
  std::optional<Clock::time_point> blind_since_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
