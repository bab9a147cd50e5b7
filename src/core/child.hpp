// A program that the library starts, whoever else in this process waits for children. It is the one way to
// start a program: what forks elsewhere runs a function of its own (core/apart), leaves the terminal
// (`expose --detach`, the reaper), or needs namespaces of its own before it becomes the program
// (path/native/sandbox).
//
// The process belongs to the library's user: it may ignore SIGCHLD, so that the kernel keeps no exit status,
// or have a handler that collects whatever child has ended. So the program is the child of a child of ours,
// which waits for it and tells by a pipe how it ended.
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
  /// What its three standard streams are, as descriptors that stay the caller's; -1: /dev/null.
  struct Streams {
    int in = -1;
    int out = -1;
    int err = -1;
  };
  enum class Environment { ours, empty };

  /// Starts the program at `path`, with these words as its argv, no other descriptor, every signal at its
  /// default and none blocked. Runs none of the program's pthread_atfork(3) handlers.
  /// @throws Error with the errno that tells why it does not run; timed_out when that is not known at the
  /// deadline.
  Child(const std::string& path, const std::vector<std::string>& argv, Streams streams, Deadline deadline,
        Environment environment = Environment::ours);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills it and what it has started, unless wait() has told its end.
  ~Child();

  /// Its exit code, as a shell gives it: 128 + the number of a signal that ended it. nullopt when it still
  /// runs at the deadline.
  std::optional<int> wait(Deadline deadline);

 private:
  void end() noexcept;

  pid_t between_ = -1;
  // Leads a process group of its own. Cannot be another's as long as the child between waits for it.
  pid_t program_ = -1;
  Fd news_;  // first how the start went, then the exit code
};

}  // namespace hostnet
