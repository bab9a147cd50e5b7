// What a forked child must not touch: the leases, threads and sidecars of its parent.
#pragma once

#include "hostnet/error.hpp"

#include <cstdint>
#include <memory>
#include <utility>

namespace hostnet {

/// How many fork(2)s lie between the first process that asked and this one. Tells a process from its forked
/// children even where both have the same pid, each in a pid namespace of its own. Thread-safe.
std::uint64_t fork_generation() noexcept;

/// Keeps an object of the parent from ever being destroyed in this process. Thread-safe.
void leave_to_parent(std::shared_ptr<void> object) noexcept;

/// A shared pointer to what belongs to the process that made it: threads, leases. In a forked child the
/// object is left alone, for its destructor would give back what the parent holds and wait for threads that
/// the child does not have.
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
                  "make another here");
    return object_;
  }

 private:
  std::shared_ptr<T> object_;
  std::uint64_t generation_ = fork_generation();
};

}  // namespace hostnet
