// Atomic points in time for all threads.
#include "engine/cutoff.hpp"

#include <atomic>

namespace hostnet::engine {
namespace {

std::atomic<Deadline>& cutoff() noexcept {
  static std::atomic<Deadline> at{Deadline::never()};
  static_assert(std::atomic<Deadline>::is_always_lock_free);
  return at;
}

using StopClock = std::chrono::steady_clock;
std::atomic<StopClock::rep> stopped_at{0};  // 0: not stopped
std::atomic<int> undoing{0};                // in all threads
std::atomic<std::uint64_t> answered{0};
thread_local int undoing_here = 0;

}  // namespace

void end_requests_at(Deadline at) noexcept { cutoff() = at; }

Deadline before_cutoff(Deadline deadline) noexcept {
  const Deadline at = cutoff();
  return at.is_never() || deadline.remaining() < at.remaining() ? deadline : at;
}

void stop_requests() noexcept { stopped_at = StopClock::now().time_since_epoch().count(); }

void resume_requests() noexcept { stopped_at = 0; }

std::chrono::milliseconds stopped_for() noexcept {
  const auto at = stopped_at.load();
  if (at == 0 || undoing_here > 0) return std::chrono::milliseconds{-1};
  return std::chrono::floor<std::chrono::milliseconds>(StopClock::now().time_since_epoch() -
                                                       StopClock::duration(at));
}

Undoing::Undoing() noexcept {
  ++undoing;
  ++undoing_here;
}

Undoing::~Undoing() {
  --undoing;
  --undoing_here;
}

bool is_undoing() noexcept { return undoing > 0; }

void count_answer() noexcept { ++answered; }

std::uint64_t answers() noexcept { return answered; }

}  // namespace hostnet::engine
