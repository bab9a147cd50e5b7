// What `expose` and `run` would do with --dry-run, without doing it.
#pragma once

#include "cli/command.hpp"
#include "cli/run_image.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/snapshot.hpp"

#include <string>

namespace hostnet::cli {

/// Prints the steps and rules, or the sidecar and its forwards, of the path that would serve the request.
/// Returns the exit code. @throws Error as expose would before its first change.
int dry_run(const ExposeRequest& request, Path path, Firewall firewall, const Globals& globals);

/// What is done beside the steps of a lease; empty for nothing.
struct Around {
  std::string first;
  std::string last;
};

/// Prints the steps and rules by which the first lease of `wanted`, made anew, comes into effect. Returns the
/// exit code. @throws Error.
int print_plan(state::Snapshot wanted, Firewall firewall, const Globals& globals, const Around& around = {});

/// The sidecar and its forwards for a command in a new container, whose network is named, and that container.
/// Returns the exit code. @throws Error as the run would before its first change.
int dry_run_image(engine::Client& client, const ImageRun& wanted, const Globals& globals);

}  // namespace hostnet::cli
