// Starts a program, however this process handles SIGCHLD. This is the only way to start a program: code that
// forks elsewhere runs a function of its own (core/apart), leaves the terminal (`expose --detach`, the
// reaper), or sets up namespaces before it becomes the program (path/native/sandbox).
//
// The process belongs to the library's user: it may ignore SIGCHLD, so that the kernel keeps no exit status,
// or have a handler that reaps every child. So the library forks an intermediate child, which starts the
// program, waits for it and reports over a pair of sockets. It reaps the program only when its report was
// read, or 10 s (kGrace) later: until then nothing else can have the program's pid, so that killing it by
// that is safe.
//
//   state      event                                 next
//   starting   socket: started                       running
//   starting   socket: an errno                      ended; the constructor throws it
//   starting   deadline                              ended by SIGKILL; throws timed_out
//   starting   socket closes                         ended; throws failure
//   running    socket: exit code, read by wait()     ended
//   running    deadline of wait(), or it closes      running; wait() returns nullopt
//   running    ~Child()                              ended: SIGKILL to the program's process group
//   running    ~Child() after an unread exit code    ended; what the program left in its group stays
//   running    ~Child() after the socket closed      ended; a program that is not bound stays: its pid is not safe
//   running    this process ends, Life::bound        ended: SIGTERM, after 1 s SIGKILL
//
// Life::bound. A program whose end is the end of this process, whatever ends that. PR_SET_PDEATHSIG alone does not
// do: the kernel sends it when the *thread* ends that made the child. A pipe that closes does not do: a forked
// child of this process would keep its end, and the program need not read it. So the intermediate child waits for
// the pidfd of this process, and the program has PR_SET_PDEATHSIG for the intermediate child, which has one thread.
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
  /// How the program lives beside this process.
  struct Life {
    bool bound = false;  ///< It ends when this process ends, also when that is killed.
    /// It stays in this process's group, so that it may ask on the terminal, and ignores the terminal's
    /// signals. Only it, not its group, is killed then. Bound programs only: without this they have no
    /// terminal at all, and what they start has none either.
    bool asks_on_terminal = false;
    /// Beside this process's own environment, or instead of its value: "NAME=value".
    std::vector<std::string> variables = {};
    std::string folder;  ///< Removed with the files in it when the program has ended. Bound programs only.
  };

  /// Starts the program at `path` with this argv, only the standard streams open, every signal at its default
  /// and none blocked. Runs none of this process's pthread_atfork(3) handlers (glibc 2.34 or later).
  /// @throws Error with the errno when the program does not start; timed_out when the deadline passes before
  /// the result is known.
  Child(const std::string& path, const std::vector<std::string>& argv, Streams streams, Deadline deadline,
        Environment environment = Environment::ours);
  Child(const std::string& path, const std::vector<std::string>& argv, Streams streams, Deadline deadline,
        const Life& life);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills the program and its process group, unless the program or the intermediate child has ended.
  ~Child();

  /// Its exit code as a shell reports it: 128 + N after signal N. nullopt when it still runs at the deadline.
  std::optional<int> wait(Deadline deadline);

 private:
  void start(const std::string& path, const std::vector<std::string>& argv, Streams streams,
             Deadline deadline, Environment environment, const Life& life);
  void end(bool has_reported) noexcept;

  pid_t between_ = -1;
  // Leads its own process group, unless it asks on the terminal. The pid is its own until the report is read.
  pid_t program_ = -1;
  Fd news_;  // first the result of the start, then the exit code
};

}  // namespace hostnet
