// Podman makes the bridge of a network with its first container only.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Whether it is a network of Podman's here of which there is no bridge yet, but will be with its first
/// container. @throws Error.
bool bridge_will_come(engine::Client& client, const engine::Network& network, Deadline deadline);

}  // namespace hostnet::exposer
