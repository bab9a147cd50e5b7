// Runs a command under ptrace(2) and stops it just before one of the system calls by which it changes
// something, to kill it there with all that it started, or to do something else meanwhile: the one way to
// meet a real program at any chosen moment.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace test {

struct Traced {
  bool killed = false;  ///< It was killed before its n-th change; else it made fewer.
  int status = 0;       ///< Its exit status, when it was not killed.
  std::string call;     ///< Before which call it was stopped: "sendmsg".
};

/// Runs argv and kills it before its n-th change (from 0), counted over all of its threads and children. When
/// it ends before that, what it has left running in the background is killed then. Output is discarded. The
/// calling thread must have no other child.
Traced kill_before_change(const std::vector<std::string>& argv, unsigned n);

/// Likewise, but calls `meanwhile` and lets it go on, before its n-th change by this system call.
Traced meet_before_change(const std::vector<std::string>& argv, const std::string& call, unsigned n,
                          const std::function<void()>& meanwhile);

}  // namespace test
