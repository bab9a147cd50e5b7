// Podman creates the bridge of a network only with its first container.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Whether this is a local Podman network without a bridge so far; its first container creates it. @throws
/// Error.
bool bridge_will_come(engine::Client& client, const engine::Network& network, Deadline deadline);

}  // namespace hostnet::exposer
