// `tc-hostnet run --image`: runs a command in a new container that reaches the ports.
#pragma once

#include "cli/command.hpp"
#include "hostnet/port.hpp"
#include "path/paths.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

struct ImageRun {
  std::string image;
  std::string network;  ///< Empty: the engine's default.
  std::vector<HostPort> ports;
  exposer::PathOrder order;          ///< At least one path, with PathDriver::dry_run_ahead.
  std::vector<std::string> command;  ///< Empty: the image's own.
  bool interactive = false;          ///< Pass standard input on, also from a terminal.
  bool tty = false;                  ///< Give it a terminal.
};

/// Exposes the ports before the container starts, or on the relay path with Docker just after, and releases them after it
/// has stopped. Copies its output, and to it a standard input that is no terminal, or any with `interactive`; forwards
/// signals to it, and removes it. Never starts the command twice. Returns its exit code; 126 when the command cannot be
/// run, 127 when it does not exist, 128 and the signal's number when a signal stopped it before, or the reader of the
/// output has gone (SIGPIPE). @throws Error.
int run_image(const ImageRun& wanted, const Globals& globals);

}  // namespace hostnet::cli
