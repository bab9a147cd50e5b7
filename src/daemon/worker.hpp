// A thread for jobs that may block, so that the bus thread never does.
//
//   worker    jobs                                        waits for
//   changes   hold and release leases                     journal, xtables lock, external programs
//   looks     read interfaces, listeners and counters     none of these, so a change never delays a look
//
// Each worker runs its jobs in the order in which they were posted. The bus thread runs a job's result, from
// the Inbox.
//
// A job must not own objects of the bus thread, such as sd-bus messages, whose reference counts are not
// atomic. run() keeps `done`, which may own them, out of the worker's thread.
#pragma once

#include "core/mailbox.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

namespace hostnet::daemon {

/// Functions that other threads queue for the bus thread: ends of leases, results of the workers.
using Inbox = Mailbox<std::function<void()>>;

/// A job's result or the exception that it threw.
template <class Result>
class Outcome {
 public:
  template <class Work>
  explicit Outcome(Work& work) noexcept {
    try {
      if constexpr (std::is_void_v<Result>) {
        work();
        result_.emplace();
      } else {
        result_.emplace(work());
      }
    } catch (...) {
      thrown_ = std::current_exception();
    }
  }

  /// @throws what the job threw.
  auto& get() {
    if (thrown_) std::rethrow_exception(thrown_);
    return *result_;
  }
  [[nodiscard]] const std::exception_ptr& thrown() const noexcept { return thrown_; }

 private:
  std::conditional_t<std::is_void_v<Result>, std::optional<std::monostate>, std::optional<Result>> result_;
  std::exception_ptr thrown_;
};

/// Thread-safe.
class Worker {
 public:
  using Clock = std::chrono::steady_clock;
  using Job = std::function<Inbox::Letter()>;

  /// More than all deadlines of a job together: 10 s to hold a lease, 10 s to undo it, and 11 s for the
  /// holder's own thread, which may run first.
  static constexpr std::chrono::seconds kStuckAfter{60};

  /// Starts the thread, with all signals blocked. `name` is for ps(1). @throws Error.
  Worker(const char* name, Inbox& inbox, Clock::duration stuck_after = kStuckAfter);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { finish(); }

  /// Runs the job in the worker's thread; the bus thread then runs the letter that it returns, if any. After
  /// finish() the job is dropped in the caller's thread.
  void post(Job job);

  /// Runs `work` in the worker's thread, then `done` with its Outcome in the bus thread, unless `alive` has
  /// expired by then. Call from the bus thread.
  template <class Work, class Done>
  void run(std::weak_ptr<void> alive, Work work, Done done) {
    using Result = std::invoke_result_t<Work&>;
    const auto keep = [](auto function) { return std::make_shared<decltype(function)>(std::move(function)); };
    post([work = keep(std::move(work)), done = keep(std::move(done)), alive = std::move(alive)] {
      return [outcome = std::make_shared<Outcome<Result>>(*work), done, alive] {
        if (!alive.expired()) (*done)(*outcome);
      };
    });
  }

  /// Completes the posted jobs and ends the thread.
  void finish();
  [[nodiscard]] bool is_idle() const;
  /// Whether the current job has run for longer than all its deadlines together.
  [[nodiscard]] bool is_stuck(Clock::time_point now = Clock::now()) const;

 private:
  void work();

  Inbox& inbox_;
  const Clock::duration stuck_after_;
  mutable std::mutex mutex_;  // guards the members below; held only briefly
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::optional<Clock::time_point> busy_since_;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace hostnet::daemon
