// The point in time by which an operation must end, with all its stages.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>

namespace hostnet {

/// A point on the monotonic clock, or never. A plain value.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static Deadline never() { return Deadline{Clock::time_point::max()}; }
  /// A span beyond the clock's range gives never(); a negative one has expired already.
  template <class Rep, class Period>
  static Deadline after(std::chrono::duration<Rep, Period> span) {
    using Seconds = std::chrono::duration<double>;  // holds any span, though not exactly
    constexpr std::chrono::hours margin{1};
    const auto now = Clock::now();
    if (Seconds(span) > Seconds(Clock::time_point::max() - now - margin)) return never();
    return Deadline{now + std::chrono::ceil<Clock::duration>(std::max(span, span.zero()))};
  }

  [[nodiscard]] bool is_never() const { return at_ == Clock::time_point::max(); }
  [[nodiscard]] bool expired() const { return !is_never() && Clock::now() >= at_; }

  /// Time left, never negative; INT_MAX milliseconds for never().
  [[nodiscard]] std::chrono::milliseconds remaining() const {
    using std::chrono::milliseconds;
    if (is_never()) return milliseconds{INT_MAX};
    // Round up: a poll() with this timeout must not wake just before the deadline and spin.
    const auto left = std::chrono::ceil<milliseconds>(at_ - Clock::now());
    return std::clamp(left, milliseconds{0}, milliseconds{INT_MAX});
  }

  /// The timeout argument for poll(2) and epoll_wait(2): milliseconds, -1 for never.
  [[nodiscard]] int poll_timeout() const { return is_never() ? -1 : static_cast<int>(remaining().count()); }

 private:
  explicit Deadline(Clock::time_point at) : at_(at) {}
  Clock::time_point at_;
};

}  // namespace hostnet
