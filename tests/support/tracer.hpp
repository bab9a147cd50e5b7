// Runs a command under ptrace(2), stops it just before one of the system calls by which it changes something,
// and then kills it with its children or does something else meanwhile: the one way to interrupt a real
// program at any chosen moment.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace test {

struct Traced {
  bool killed = false;  ///< Killed before its n-th change; else it made fewer changes.
  int status = 0;       ///< Its exit status, when it was not killed.
  std::string call;     ///< The call before which it stopped: "sendmsg".
};

/// Runs argv and kills it before its n-th change (from 0), counted over all its threads and children. If it
/// ends before that, its remaining background processes are killed then. Discards its output. The calling
/// thread must have no other child.
Traced kill_before_change(const std::vector<std::string>& argv, unsigned n);

/// Likewise, but before the n-th change by this system call it calls `meanwhile` and then continues the
/// command.
Traced meet_before_change(const std::vector<std::string>& argv, const std::string& call, unsigned n,
                          const std::function<void()>& meanwhile);

}  // namespace test
