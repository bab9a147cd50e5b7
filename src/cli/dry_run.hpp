// --dry-run of `expose` and `run`: prints what the path that would serve says that it would do.
#pragma once

#include "cli/command.hpp"
#include "hostnet/exposer.hpp"
#include "path/paths.hpp"

namespace hostnet::cli {

/// Prints what the path that would serve the request would do; `wanted` is nullptr for automatic. Returns the
/// exit code. @throws Error the errors that expose throws before its first change.
int dry_run(const ExposeRequest& request, const exposer::PathOrder& wanted, const ExposerOptions& options,
            const Globals& globals);

/// Prints a plan. Returns the exit code.
int print_dry_run(exposer::DryRun plan, const Globals& globals);

}  // namespace hostnet::cli
