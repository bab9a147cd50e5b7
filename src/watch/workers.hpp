// Threads for what may wait, so that the thread of an event loop never does.
#pragma once

#include "core/deadline.hpp"
#include "core/event_loop.hpp"
#include "core/mailbox.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::exposer {

/// Runs jobs in the order in which they were posted, as many at a time as there may be threads, which are
/// started as they are needed. The other calls than tell() are for the loop's thread.
class Workers {
 public:
  /// Must not throw: what it does is logged and lost.
  using Job = std::function<void()>;
  using Letter = std::function<void()>;

  /// The loop must outlive it. @throws Error.
  Workers(EventLoop& loop, std::size_t most_threads);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// Waits for the jobs that have begun; the others, and what has not been read, are dropped.
  ~Workers();

  /// @throws Error when there is no thread, and none can be started.
  void post(Job job);
  /// From here on, more of them at a time.
  void allow(std::size_t more_threads);
  /// Has the loop's thread run it, in the order in which it was told. Thread-safe.
  void tell(Letter letter) noexcept { letters_.put(std::move(letter)); }
  /// Waits until something was told, and runs it. @throws what that throws.
  void read(Deadline deadline);

 private:
  void start_thread();
  void work();
  void run_letters();

  EventLoop& loop_;
  std::size_t most_;
  Mailbox<Letter> letters_;
  std::mutex mutex_;  // guards what follows, for moments only
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::size_t running_ = 0;
  bool ending_ = false;
  std::vector<std::jthread> threads_;  // the loop's thread's
};

}  // namespace hostnet::exposer
