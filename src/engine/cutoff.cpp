// One atomic point in time for all threads.
#include "engine/cutoff.hpp"

#include <atomic>

namespace hostnet::engine {
namespace {

std::atomic<Deadline>& cutoff() noexcept {
  static std::atomic<Deadline> at{Deadline::never()};
  static_assert(std::atomic<Deadline>::is_always_lock_free);
  return at;
}

}  // namespace

void end_requests_at(Deadline at) noexcept { cutoff() = at; }

Deadline before_cutoff(Deadline deadline) noexcept {
  const Deadline at = cutoff();
  return at.is_never() || deadline.remaining() < at.remaining() ? deadline : at;
}

}  // namespace hostnet::engine
