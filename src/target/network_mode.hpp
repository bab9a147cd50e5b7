// Containers that no bridge of this host serves: by their network mode, or because their engine is rootless.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Whether the engine has its bridges in a network namespace of its own, under names and addresses that may
/// be taken here by another engine's. @throws What Client::is_rootless() throws.
bool runs_rootless(engine::Client& client, Deadline deadline);

/// Refuses the network modes in which a container has no bridge of its own to reach the host by.
/// `own_loopback`: what the engine calls the host's network is, or may be, another one than ours, as under
/// RootlessKit or on another machine.
/// @throws Error{invalid_argument}
void check_network_mode(const engine::Container& container, bool own_loopback = false);

/// check_network_mode(), asking the container's engine what its host is where that matters.
/// @throws Error: that, and what the client throws.
void check_network_mode(engine::Client& client, const engine::Container& container, Deadline deadline);

}  // namespace hostnet::exposer
