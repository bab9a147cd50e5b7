// Running another program to its end.
#pragma once

#include "core/deadline.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

struct ProcessResult {
  int exit_code = 0;   ///< As a shell gives it: 128 + the number of a signal that ended it.
  std::string output;  ///< What it wrote to standard output, and
  std::string errors;  ///< to standard error.
};

/// Runs argv[0] (looked up in PATH, and in the sbin folders that a user's PATH often lacks) with `input` on
/// its standard input, and waits. At the deadline it is killed.
/// @throws Error: not_found when there is no such program, timed_out, failure.
ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input, Deadline deadline);

}  // namespace hostnet
