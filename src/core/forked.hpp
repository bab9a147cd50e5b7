// Keeps a forked child from touching its parent's leases, threads and sidecars.
#pragma once

#include "hostnet/error.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace hostnet {

/// The number of fork(2)s between the first process that called this and the current one. It distinguishes a
/// process from its forked children even when both have the same pid, in different pid namespaces.
/// Thread-safe.
std::uint64_t fork_generation() noexcept;

/// Prevents the destruction of a parent's object in this process. Thread-safe.
void leave_to_parent(std::shared_ptr<void> object) noexcept;

/// A shared pointer to an object of the process that made it: threads, leases. A forked child does not
/// destroy the object: the destructor would release what the parent holds and join threads that the child
/// does not have.
template <class T>
class OfThisProcess {
 public:
  explicit OfThisProcess(std::shared_ptr<T> object) noexcept : object_(std::move(object)) {}
  OfThisProcess(OfThisProcess&&) noexcept = default;
  OfThisProcess& operator=(OfThisProcess&&) = delete;
  OfThisProcess(const OfThisProcess&) = delete;
  OfThisProcess& operator=(const OfThisProcess&) = delete;
  ~OfThisProcess() {
    if (object_ && generation_ != fork_generation()) leave_to_parent(std::move(object_));
  }

  /// @throws Error{failure} in a forked child.
  T* operator->() const { return shared().get(); }
  /// @throws Error{failure} in a forked child.
  [[nodiscard]] const std::shared_ptr<T>& shared() const {
    if (generation_ != fork_generation())
      throw Error(Errc::failure, "this exposer belongs to the process that this one was forked from",
                  "create another exposer in this process");
    return object_;
  }

 private:
  std::shared_ptr<T> object_;
  std::uint64_t generation_ = fork_generation();
};

/// The one object of a type in this process, made when it is first asked for and never destroyed. A forked
/// child gets a new one and leaves its parent's alone, in which a thread that the child does not have may
/// have been at work. Thread-safe.
template <class T>
T& for_this_process() {
  struct Slot {
    std::uint64_t generation = fork_generation();
    T object = {};
    Slot* parents = nullptr;
  };
  static std::atomic<Slot*> current = nullptr;
  auto* seen = current.load();
  while (seen == nullptr || seen->generation != fork_generation()) {
    auto fresh = std::make_unique<Slot>();
    fresh->parents = seen;
    if (current.compare_exchange_strong(seen, fresh.get())) return fresh.release()->object;
  }
  return seen->object;
}

}  // namespace hostnet
