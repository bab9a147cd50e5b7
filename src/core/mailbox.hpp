// A queue from other threads to the thread of an event loop, with a descriptor to wait on.
#pragma once

#include "core/fd.hpp"
#include "hostnet/error.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace hostnet {

/// First in, first out. Thread-safe; never blocks.
template <class T>
class Mailbox {
 public:
  using Letter = T;

  /// @throws Error.
  Mailbox() : waiting_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) {
    if (!waiting_) throw Error::from_errno("eventfd", errno);
  }

  void put(Letter letter) noexcept {
    const std::scoped_lock lock(mutex_);
    letters_.push_back(std::move(letter));
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(waiting_.get(), &one, sizeof one);
  }

  /// Removes and returns the oldest letter; nullopt when there is none.
  std::optional<Letter> next() {
    const std::scoped_lock lock(mutex_);
    if (letters_.empty()) return std::nullopt;
    std::uint64_t one = 0;
    [[maybe_unused]] const auto read = ::read(waiting_.get(), &one, sizeof one);
    std::optional<Letter> letter(std::move(letters_.front()));
    letters_.pop_front();
    return letter;
  }

  /// Readable while there is a letter.
  [[nodiscard]] int fd() const noexcept { return waiting_.get(); }

 private:
  Fd waiting_;  // counts the letters
  std::mutex mutex_;
  std::deque<Letter> letters_;
};

}  // namespace hostnet
