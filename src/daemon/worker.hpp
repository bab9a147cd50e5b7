// A thread that does what may wait, so that the bus thread never does.
//
// The daemon has two. `changes` holds and releases leases: it waits for the journal, the xtables lock and
// external programs. `looks` reads interfaces, listeners and counters, which takes none of these locks: a
// look is not kept waiting by a change that is. Each runs its jobs one by one, in the order in which they
// were posted; what a job results in is run by the bus thread, out of the Inbox.
//
// A job must not own what belongs to the bus thread (messages of sd-bus, whose counts of references are not
// atomic): run() keeps `done`, which may, away from the worker's thread.
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

/// What other threads have for the bus thread: ends of leases, and what the workers have done. It runs these
/// functions.
using Inbox = Mailbox<std::function<void()>>;

/// What a job came to: its result, or what it threw.
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

  /// Longer than all deadlines of a job together: holding a lease has 10 s, its way back as many, and the
  /// holder's own thread, which may be before it, 11 s.
  static constexpr std::chrono::seconds kStuckAfter{60};

  /// Starts the thread, with all signals blocked. `name` is for ps(1). @throws Error.
  Worker(const char* name, Inbox& inbox, Clock::duration stuck_after = kStuckAfter);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { finish(); }

  /// Runs it in the worker's thread, and has the bus thread run what it returns, if anything. After finish()
  /// the job is dropped in the caller's thread.
  void post(Job job);

  /// Runs `work` in the worker's thread and then `done`, with its Outcome, in the bus thread, unless `alive`
  /// has ended meanwhile. For the bus thread.
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

  /// Does what was posted, and ends the thread.
  void finish();
  [[nodiscard]] bool is_idle() const;
  /// Whether the job at hand has run for longer than all its deadlines together.
  [[nodiscard]] bool is_stuck(Clock::time_point now = Clock::now()) const;

 private:
  void work();

  Inbox& inbox_;
  const Clock::duration stuck_after_;
  mutable std::mutex mutex_;  // guards what follows, for moments only
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::optional<Clock::time_point> busy_since_;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace hostnet::daemon
