// The one way to start a thread.
#pragma once

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

namespace hostnet {

/// Starts a thread named `name`; `ps -T` and debuggers show its first 15 characters.
///
/// The thread blocks all signals except those of its own faults: the program's signals are for the program's
/// threads, which may wait for them with sigwait(3) or signalfd(2). An exception that leaves `body` is logged
/// and ends the thread, not the program. Thread-safe.
/// @throws Error{failure} when the system refuses a thread.
[[nodiscard]] std::jthread start_thread(std::string name, std::function<void()> body);

/// Runs `work` in a new thread and returns its result, for work that changes its thread (setns(2)).
/// @throws What start_thread() and `work` throw.
template <class Work>
auto run_in_thread(const char* name, Work work) {
  std::packaged_task<decltype(work())()> task(std::move(work));
  auto result = task.get_future();
  start_thread(name, [&task] { task(); }).join();
  return result.get();
}

}  // namespace hostnet
