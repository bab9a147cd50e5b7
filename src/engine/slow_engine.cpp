// One atomic point in time for all connections: a command asks by several, and is told once.
#include "engine/slow_engine.hpp"

#include "core/log.hpp"

#include <fmt/format.h>

#include <atomic>
#include <new>

namespace hostnet::engine {
namespace {

using SlowClock = std::chrono::steady_clock;
constexpr std::chrono::minutes kToldAgainAfter{10};

std::atomic<SlowClock::rep> told_at{0};  // 0: never

}  // namespace

std::string slow_engine_line(const std::string& engine, bool has_begun, Deadline deadline) {
  const auto what = fmt::format("the engine at {} has not {} for {} s", engine,
                                has_begun ? "ended its answer" : "answered", kSlow.count());
  if (deadline.is_never()) return what + "; waiting";
  const auto left = std::chrono::ceil<std::chrono::seconds>(deadline.remaining());
  return fmt::format("{}; waiting up to {} s more", what, left.count());
}

void tell_slow_engine(const std::string& engine, bool has_begun, Deadline deadline) noexcept {
  const auto now = SlowClock::now().time_since_epoch();
  auto before = told_at.load();
  if (before != 0 && now - SlowClock::duration(before) < kToldAgainAfter) return;
  if (!told_at.compare_exchange_strong(before, now.count())) return;  // another thread tells
  try {
    log::warn("{}", slow_engine_line(engine, has_begun, deadline));
  } catch (const std::bad_alloc&) {
    // A caller across C must not see it.
  }
}

}  // namespace hostnet::engine
