// The listeners that leases depend on: who listened when they were granted, and, where expose-own granted
// them, that no other user does.
//
// One look serves all leases: a worker has the kernel list all listeners of the protocols that matter, and
// the leases are judged by that list. Four looks a second are taken while a lease depends on who listens, one
// a second while leases depend on somebody listening at all, none otherwise. A lease is judged by looks alone
// that began after it was granted. Where no look has succeeded for a second, nothing vouches for what
// expose-own has granted, and it ends.
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

/// What a lease has lost by what its ports' listeners are now: a reason in LeaseReleased, or nullptr. Pure.
const char* lost_listener(const HeldLease& held_lease, const ListenerUids& now);

/// Not thread-safe: on the connection's loop.
class ListenerWatch {
 public:
  using Clock = std::chrono::steady_clock;
  using HeldLeases = std::function<void(const std::function<void(const HeldLease&)>&)>;

  /// `each` walks the leases; `lost` ends one, with the reason.
  ListenerWatch(Worker& looks, HeldLeases each,
                std::function<void(const std::string& id, const char* reason)> lost)
      : looks_(looks), each_(std::move(each)), lost_(std::move(lost)) {}

  /// Looks when it is time. Returns when it is time again; nullopt: no lease depends on it.
  std::optional<Clock::time_point> tick(Clock::time_point now);
  /// The first look by which a lease that is granted now is judged.
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
