// `tc-hostnet run --image`: a command in a new container that reaches the ports.
#pragma once

#include "cli/command.hpp"
#include "hostnet/port.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

struct ImageRun {
  std::string image;
  std::string network;  ///< Empty: the engine's default.
  std::vector<HostPort> ports;
  std::vector<std::string> command;  ///< Empty: the image's own.
};

/// The ports are ready before the container starts and go after it has stopped; its output is ours, signals
/// go on to it, and it is removed. Returns its exit code, 126 or 127 when the command cannot be run or does
/// not exist. @throws Error.
int run_image(const ImageRun& wanted, const Globals& globals);

}  // namespace hostnet::cli
