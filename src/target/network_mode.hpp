// Containers without a bridge on this host, because of their network mode or a rootless engine.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Whether the engine's bridges are in its own network namespace; another engine may use the same names and
/// addresses here. @throws What Client::is_rootless() throws.
bool runs_rootless(engine::Client& client, Deadline deadline);

/// Rejects network modes without a bridge to the host. `own_loopback`: the engine's host network is, or may
/// be, not ours, as under RootlessKit or on another machine.
/// @throws Error: invalid_argument, or no_path where a path that needs no bridge can serve.
void check_network_mode(const engine::Container& container, bool own_loopback = false);

/// As above; asks the container's engine about its host if that matters.
/// @throws Error: that, and what the client throws.
void check_network_mode(engine::Client& client, const engine::Container& container, Deadline deadline);

}  // namespace hostnet::exposer
