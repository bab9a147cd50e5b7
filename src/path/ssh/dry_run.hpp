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

/// As PathDriver::dry_run_ahead.
DryRun ssh_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                         const CommandContainer& container);

}  // namespace hostnet::exposer
