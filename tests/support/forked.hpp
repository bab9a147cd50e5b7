// Work done in a child process that may not live to finish it. The child shares nothing with the test but the
// kernel and the files. After a fork in a program with threads it has only what malloc(3) and _exit(2) need.
#pragma once

#include "core/file.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <string>
#include <system_error>

namespace test {

/// Starts `work` in a child; the child's exit status is 0 when it returns, 1 when it throws.
template <class Work>
pid_t start_child(Work work) {
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child > 0) return child;
  try {
    work();
  } catch (const std::exception& error) {
    const auto line = std::string("child: ") + error.what() + "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    ::_exit(1);
  }
  ::_exit(0);
}

/// Waits for it. @returns its exit status; 128 + N when signal N killed it.
inline int await_child(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Whether a process, not necessarily a child, runs no more; its parent may not have asked after it yet.
inline bool is_dead(pid_t process) {
  const auto stat = hostnet::try_read_file("/proc/" + std::to_string(process) + "/stat");
  return !stat || stat->find(") Z ") != std::string::npos;
}

}  // namespace test
