// Runs a command under ptrace(2) and kills it, with all that it started, just before one of the system calls
// by which it changes something: the one way to stop a real program at any chosen moment.
#pragma once

#include <string>
#include <vector>

namespace test {

struct Traced {
  bool killed = false;  ///< It was killed before its n-th change; else it made fewer.
  int status = 0;       ///< Its exit status, when it was not killed.
  std::string call;     ///< Before which call: "sendmsg".
};

/// Runs argv and kills it before its n-th change (from 0), counted over all of its threads and children. When
/// it ends before that, what it has left running in the background is killed then. Output is discarded. The
/// calling thread must have no other child.
Traced kill_before_change(const std::vector<std::string>& argv, unsigned n);

}  // namespace test
