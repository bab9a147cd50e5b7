// Why a container's command did not start, by the engine's words about it. Pure.
#pragma once

#include "hostnet/error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

struct StartFailure {
  int exit_code;  ///< As a shell's: 127 if there is no such program, 126 if it may not run.
  Error error;
};

/// nullopt for an error with another cause. `command` is empty for the image's own.
std::optional<StartFailure> start_failure(const Error& error, const std::string& image,
                                          const std::vector<std::string>& command);

}  // namespace hostnet::cli
