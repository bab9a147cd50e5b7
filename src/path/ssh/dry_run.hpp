// What the ssh path would do for a request, without doing it.
#pragma once

#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <string>
#include <vector>

namespace hostnet::exposer {

/// As PathDriver::dry_run.
DryRun ssh_dry_run(const ExposeRequest& request, const ExposerOptions& options);

/// A container that is to be started for a command, and that alone is served.
struct CommandContainer {
  std::string image;
  std::vector<std::string> command;  ///< Empty: the image's own.
};

/// The sidecar and its forwards; with `run`, for that container alone, which is on the request's network.
/// @throws Error as expose_all() would before its first change.
DryRun ssh_dry_run(engine::Client& client, const ExposeRequest& request, const CommandContainer* run);

}  // namespace hostnet::exposer
