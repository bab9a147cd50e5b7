// Work on files that a container owns, in a process that can be given up.
//
// Such a file may be on a file system that the container itself serves (FUSE), or a mark of fanotify(7) may
// let the container decide when it is opened. The thread that waits there may not be interruptible, not even
// by SIGKILL, and a process with such a thread never ends. So this is no matter for a thread: a forked child
// does it, and its parent goes on when the time is up. It is no program (core/child): what it runs is a
// function of this one.
//
// The child has none of the parent's descriptors, whose locks (the journal's, an owner's) and pipes it would
// keep alive, stands in "/", and has all signals blocked but those of its own faults, lest a handler of the
// program run in it. It ends
// with the thread that made it, unless it hangs in the kernel; then it ends with what it hangs on.
#pragma once

#include "core/deadline.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hostnet {

/// Runs `job(0)` to `job(count - 1)` in this order in a forked child and returns what each has returned. A
/// job that takes longer than `stall` costs its own answer only: the next one is done by another child. All
/// end at `deadline`. nullopt for a job that did not end in time, that threw, or that had no turn.
///
/// A job must keep to what is safe after fork(2) in a program with threads: no locks that another thread may
/// hold, so no log, and nothing that starts a thread. Allocation is safe. Thread-safe. @throws Error: failure
/// when there can be no child.
std::vector<std::optional<std::string>> run_apart(std::size_t count,
                                                  const std::function<std::string(std::size_t)>& job,
                                                  Deadline deadline, std::chrono::milliseconds stall);

}  // namespace hostnet
