// --dry-run of `expose` and `run`: prints what they would do.
#pragma once

#include "cli/command.hpp"
#include "cli/run_image.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/snapshot.hpp"

#include <string>

namespace hostnet::cli {

/// Prints the steps and rules, or the sidecar and its forwards, of the path that would serve the request.
/// Returns the exit code. @throws Error the errors that expose throws before its first change.
int dry_run(const ExposeRequest& request, Path path, Firewall firewall, const Globals& globals);

/// Steps before and after those of a lease; empty for none.
struct Around {
  std::string first;
  std::string last;
};

/// Prints the steps and rules that put the leases of `wanted` into effect on a host without leases. JSON and
/// aliases show the first lease. Returns the exit code. @throws Error.
int print_plan(state::Snapshot wanted, Firewall firewall, const Globals& globals, const Around& around = {});

/// Prints the sidecar, its forwards and the container of `run --image`; `wanted.network` must be set. Returns
/// the exit code. @throws Error the errors that the run throws before its first change.
int dry_run_image(engine::Client& client, const ImageRun& wanted, const Globals& globals);

}  // namespace hostnet::cli
