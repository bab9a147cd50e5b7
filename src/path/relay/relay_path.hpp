// The relay path: sockets in the container's own network namespace, joined with services of this host by this
// process.
#pragma once

#include "path/path.hpp"

#include <memory>

namespace hostnet::exposer {

std::unique_ptr<Exposer> make_relay(const ExposerOptions& options);

/// As PathDriver's members of these names (ahead.cpp).
std::unique_ptr<AheadLease> relay_ahead(const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline);
DryRun relay_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                           const CommandContainer& container);

extern const PathDriver kRelayPath;

}  // namespace hostnet::exposer
