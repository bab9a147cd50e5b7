// Work from other threads for the bus thread: ends of leases and workers' results.
#pragma once

#include "core/fd.hpp"

#include <functional>
#include <mutex>
#include <vector>

namespace hostnet::daemon {

/// Functions for the bus thread to run, in order of arrival. Thread-safe; never blocks.
class Inbox {
 public:
  using Letter = std::function<void()>;

  /// @throws Error.
  Inbox();
  void put(Letter letter) noexcept;
  /// For the bus thread: takes all functions.
  std::vector<Letter> take();
  /// Readable when take() has something to return.
  [[nodiscard]] int fd() const noexcept { return wake_.get(); }

 private:
  Fd wake_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

}  // namespace hostnet::daemon
