// Runs code as user nobody without capabilities, to test refusals.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <system_error>
#include <thread>

namespace test {

/// Calls `function` on a thread with uid and gid 65534 and returns its result; rethrows here what it throws.
/// Uses the bare system call, which changes only that thread; setresuid(3) would change all threads.
template <class Function>
auto run_unprivileged(Function function) {
  std::packaged_task<decltype(function())()> task([&] {
    constexpr long nobody = 65534;
    if (::syscall(SYS_setgroups, 0L, nullptr) != 0 || ::syscall(SYS_setresgid, nobody, nobody, nobody) != 0 ||
        ::syscall(SYS_setresuid, nobody, nobody, nobody) != 0) {
      throw std::system_error(errno, std::generic_category(), "give up root");
    }
    return function();
  });
  auto result = task.get_future();
  std::thread(std::move(task)).join();
  return result.get();
}

}  // namespace test
