// The end of a lease: it happens once, and every caller returns after it is complete.
#pragma once

#include "hostnet/exposure.hpp"

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

namespace hostnet::exposer {

/// States: active; ending, while one caller tears down the set-up; over. Thread-safe.
class LeaseLife {
 public:
  /// Ends `active`. The caller that gets true tears the lease down and calls over(), even if a step fails. It
  /// notifies others only after that.
  [[nodiscard]] bool begin_end(ExposureState as, std::string reason) {
    const std::scoped_lock lock(mutex_);
    if (state_ != ExposureState::active) return false;
    state_ = as;
    reason_ = std::move(reason);
    return true;
  }
  void over() noexcept {
    {
      const std::scoped_lock lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
  }
  /// Calls over() in its destructor.
  class Ending {
   public:
    explicit Ending(LeaseLife& life) noexcept : life_(life) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() { life_.over(); }

   private:
    LeaseLife& life_;
  };

  /// Waits until the lease is over, for a caller that got false. The tear-down's deadline bounds the wait.
  void wait_over() const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_over_; });
  }

  [[nodiscard]] ExposureState state() const {
    const std::scoped_lock lock(mutex_);
    return state_;
  }
  /// Empty while active.
  [[nodiscard]] std::string reason() const {
    const std::scoped_lock lock(mutex_);
    return reason_;
  }
  [[nodiscard]] bool is_active() const { return state() == ExposureState::active; }

 private:
  mutable std::mutex mutex_;  // guards the members below
  mutable std::condition_variable changed_;
  ExposureState state_ = ExposureState::active;
  std::string reason_;
  bool is_over_ = false;
};

}  // namespace hostnet::exposer
