// Starts a program, however this process handles SIGCHLD. This is the only way to start a program: code that
// forks elsewhere runs a function of its own (core/apart), leaves the terminal (`expose --detach`, the
// reaper), or sets up namespaces before it becomes the program (path/native/sandbox).
//
// The process belongs to the library's user: it may ignore SIGCHLD, so that the kernel keeps no exit status,
// or have a handler that reaps every child. So the library forks an intermediate child, which starts the
// program, waits for it and reports over a pipe.
//
//   state      event                                 next
//   starting   pipe: started                         running
//   starting   pipe: an errno                        ended; the constructor throws it
//   starting   deadline                              ended by SIGKILL; throws timed_out
//   starting   pipe closes                           ended; throws failure
//   running    pipe: exit code, read by wait()       ended
//   running    deadline of wait(), or pipe closes    running; wait() returns nullopt
//   running    ~Child()                              ended: SIGKILL to the program's process group
//
// The caller's deadlines are the only timeouts, except 2 s (kKillLimit) for the end of a killed program: one in an
// uninterruptible sleep is then left to init.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace hostnet {

/// Used by one thread at a time.
class Child {
 public:
  /// The program's standard streams. The caller keeps the descriptors; -1: /dev/null.
  struct Streams {
    int in = -1;
    int out = -1;
    int err = -1;
  };
  enum class Environment { ours, empty };

  /// Starts the program at `path` with this argv, only the standard streams open, every signal at its default
  /// and none blocked. Runs none of this process's pthread_atfork(3) handlers (glibc 2.34 or later).
  /// @throws Error with the errno when the program does not start; timed_out when the deadline passes before
  /// the result is known.
  Child(const std::string& path, const std::vector<std::string>& argv, Streams streams, Deadline deadline,
        Environment environment = Environment::ours);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills the program and its process group, unless wait() has returned an exit code.
  ~Child();

  /// Its exit code as a shell reports it: 128 + N after signal N. nullopt when it still runs at the deadline.
  std::optional<int> wait(Deadline deadline);

 private:
  void end(bool has_reported) noexcept;

  pid_t between_ = -1;
  // Leads its own process group. The pid cannot be reused before the intermediate child has reaped it.
  pid_t program_ = -1;
  Fd news_;  // first the result of the start, then the exit code
};

}  // namespace hostnet
