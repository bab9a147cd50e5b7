// Runs work on files that a container owns, in a forked child that the parent can abandon.
//
// Such a file may be on a file system that the container itself serves (FUSE), or a fanotify(7) mark may let
// the container decide when an open() returns. The thread that waits there may be uninterruptible, even by
// SIGKILL, and a process with such a thread never ends. So a forked child does the work, and the parent goes
// on when the time is up. The child runs a function of this program; core/child starts programs.
//
//   child    event                                  next
//   works    answer to job i                        works on job i + 1
//   works    last answer                            reaped
//   works    no answer within `stall`, job throws,  killed; another child continues with job i + 1
//            or the child dies
//   works    `deadline`                             killed; the other jobs get no answer
//   works    the forking thread ends                dies by PR_SET_PDEATHSIG
//   killed   dies within 100 ms (kToDie)            reaped
//   killed   hangs in the kernel                    abandoned; a later run_apart() reaps it
//
// The child closes the parent's descriptors, whose locks (the journal's, an owner's) and pipes it would keep
// alive. Its working directory is "/". It blocks all signals except those of its own faults: no
// other handler of the program runs in it.
#pragma once

#include "core/deadline.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hostnet {

/// Runs `job(0)` to `job(count - 1)` in this order in a forked child and returns their results. A job that
/// takes longer than `stall` loses only its own answer: another child runs the next job. All work ends at
/// `deadline`. nullopt for a job that did not end in time, threw, or had no turn.
///
/// A job must keep to what is safe after fork(2) in a program with threads: no lock that another thread may
/// hold (so no log), and no new thread. Allocation is safe. Thread-safe. @throws Error{failure} when it
/// cannot make a child.
std::vector<std::optional<std::string>> run_apart(std::size_t count,
                                                  const std::function<std::string(std::size_t)>& job,
                                                  Deadline deadline, std::chrono::milliseconds stall);

}  // namespace hostnet
