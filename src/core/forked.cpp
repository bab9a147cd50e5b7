// Distinguishes a forked child from its parent.
#include "core/forked.hpp"

#include <pthread.h>

#include <atomic>

namespace hostnet {
namespace {

std::atomic<std::uint64_t> generation = 0;

struct Kept {
  std::shared_ptr<void> object;
  Kept* next;
};
std::atomic<Kept*> kept = nullptr;  // reachable, so that leak checkers do not report it

}  // namespace

std::uint64_t fork_generation() noexcept {
  // The pthread_atfork(3) handler touches only the counter, which is safe in any child.
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  return generation.load(std::memory_order_relaxed);
}

void leave_to_parent(std::shared_ptr<void> object) noexcept {
  auto* const one = new Kept{std::move(object), kept.load()};
  while (!kept.compare_exchange_weak(one->next, one)) {
  }
}

}  // namespace hostnet
