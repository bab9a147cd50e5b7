// The relay path: sockets in the container's own network namespace, or at the gateway of a network, joined with
// services of this host by this process.
#pragma once

#include "path/path.hpp"

#include <memory>

namespace hostnet::exposer {

std::unique_ptr<Exposer> make_relay(const ExposerOptions& options);

class GatewayLease;

/// A lease at the gateway of the request's network, for a container that has not started.
struct GatewayAhead {
  Exposure exposure;
  GatewayLease* lease = nullptr;  ///< Lives as long as `exposure` shows it.
};
/// @throws Error: no_path if the network has no bridge here; conflict; and as Exposer::expose().
GatewayAhead expose_at_gateway(const ExposerOptions& options, const ExposeRequest& request,
                               Deadline deadline);

/// As PathDriver's members of these names (ahead.cpp).
std::unique_ptr<AheadLease> relay_ahead(const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline);
DryRun relay_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                           const CommandContainer& container);

extern const PathDriver kRelayPath;

}  // namespace hostnet::exposer
