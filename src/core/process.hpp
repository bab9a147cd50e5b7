// Runs a program to its end.
#pragma once

#include "core/deadline.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

struct ProcessResult {
  int exit_code = 0;   ///< As a shell reports it: 128 + N after signal N.
  std::string output;  ///< Standard output.
  std::string errors;  ///< Standard error.
};

/// The path of a program: searches PATH, and the sbin folders that a user's PATH often lacks. A name with a slash is
/// a path. @throws Error{not_found}.
std::string find_program(const std::string& name);

/// Runs argv[0] with `input` on its standard input and waits for its end; kills it at the deadline.
/// @throws Error: not_found when there is no such program, timed_out, failure.
ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input, Deadline deadline);

}  // namespace hostnet
