// The one way in which the library starts a thread.
#pragma once

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

namespace hostnet {

/// Starts a thread named `name`, as `ps -T` and debuggers show it (15 characters of it).
///
/// All signals are blocked in it, but for those that tell of a fault in the thread itself: the program's
/// signals are for the program's own threads, which may wait for them by sigwait(3) or signalfd(2). An
/// exception that leaves `body` is logged and ends the thread, not the program. Thread-safe.
/// @throws Error{failure} when the system gives no thread.
[[nodiscard]] std::jthread start_thread(std::string name, std::function<void()> body);

/// Runs `work` in a thread of its own and returns what it returns, for what changes the thread that does it
/// (setns(2)). @throws as start_thread(), and what `work` throws.
template <class Work>
auto run_in_thread(const char* name, Work work) {
  std::packaged_task<decltype(work())()> task(std::move(work));
  auto result = task.get_future();
  start_thread(name, [&task] { task(); }).join();
  return result.get();
}

}  // namespace hostnet
