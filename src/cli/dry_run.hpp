// `tc-hostnet expose --dry-run`: what would be done, without doing it.
#pragma once

#include "cli/command.hpp"
#include "hostnet/exposer.hpp"

namespace hostnet::cli {

/// Prints the steps and rules, or the sidecar and its forwards, of the path that would serve the request.
/// Returns the exit code. @throws Error as expose would before its first change.
int dry_run(const ExposeRequest& request, Path path, Firewall firewall, const Globals& globals);

}  // namespace hostnet::cli
