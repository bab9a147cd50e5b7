// Threads for jobs that may wait, so that an event loop's thread never waits.
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

/// Runs jobs in the order of post(), on up to `most_threads` threads, which it starts on demand. Call
/// everything except tell() from the loop's thread.
class Workers {
 public:
  /// Must not throw: an exception is logged and dropped.
  using Job = std::function<void()>;
  using Letter = std::function<void()>;

  /// The loop must outlive it. @throws Error.
  Workers(EventLoop& loop, std::size_t most_threads);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// Waits for running jobs without a time limit. Drops queued jobs and letters.
  ~Workers();

  /// @throws Error when there is no thread and none can start; the job stays queued.
  void post(Job job);
  /// Allows more threads from now on.
  void allow(std::size_t more_threads);
  /// Runs the letter in the loop's thread, in the order of the calls. Thread-safe.
  void tell(Letter letter) noexcept { letters_.put(std::move(letter)); }
  /// Waits for letters until the deadline and runs them. @throws Error, and whatever a letter throws.
  void read(Deadline deadline);

 private:
  void start_thread();
  void work();
  void run_letters();

  EventLoop& loop_;
  std::size_t most_;
  Mailbox<Letter> letters_;
  std::mutex mutex_;  // guards jobs_, running_ and ending_
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::size_t running_ = 0;
  bool ending_ = false;
  std::vector<std::jthread> threads_;  // used only by the loop's thread
};

}  // namespace hostnet::exposer
