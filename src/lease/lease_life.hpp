// How a lease ends: once, whoever asks, and everybody who asks is answered when it is done.
#pragma once

#include "hostnet/exposure.hpp"

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

namespace hostnet::exposer {

/// Three states: active; ending, in which one caller takes down what the lease stands on; over. Thread-safe.
class LeaseLife {
 public:
  /// Takes the lease out of `active`. The one who gets true takes it down and calls over(), whatever fails on
  /// the way; only then is anybody told.
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
  /// Calls over() at its end.
  class Ending {
   public:
    explicit Ending(LeaseLife& life) noexcept : life_(life) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() { life_.over(); }

   private:
    LeaseLife& life_;
  };

  /// Returns when the lease is over, for who got false. The taking down has a deadline.
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
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  ExposureState state_ = ExposureState::active;
  std::string reason_;
  bool is_over_ = false;
};

}  // namespace hostnet::exposer
