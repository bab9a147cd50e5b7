// What --dry-run prints: the path that would serve says what it would do.
#pragma once

#include "cli/command.hpp"
#include "hostnet/exposer.hpp"
#include "path/path.hpp"

namespace hostnet::cli {

/// Prints what the path would do that would serve the request; `wanted` is nullptr for automatic. Returns the
/// exit code. @throws Error as expose would before its first change.
int dry_run(const ExposeRequest& request, const exposer::PathDriver* wanted, const ExposerOptions& options,
            const Globals& globals);

/// Prints it. Returns the exit code.
int print_dry_run(exposer::DryRun plan, const Globals& globals);

}  // namespace hostnet::cli
