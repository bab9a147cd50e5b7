// What other threads have for the bus thread: ends of leases, and what the workers have done.
#pragma once

#include "core/fd.hpp"

#include <functional>
#include <mutex>
#include <vector>

namespace hostnet::daemon {

/// Functions that the bus thread runs, in the order in which they came. Thread-safe; never blocks.
class Inbox {
 public:
  using Letter = std::function<void()>;

  /// @throws Error.
  Inbox();
  void put(Letter letter) noexcept;
  /// For the bus thread: all that have come.
  std::vector<Letter> take();
  /// Readable when there is something to take.
  [[nodiscard]] int fd() const noexcept { return wake_.get(); }

 private:
  Fd wake_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

}  // namespace hostnet::daemon
