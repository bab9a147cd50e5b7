// The alias in a container's hosts file, by whichever way this process has: from outside, or by the engine.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"

#include <string>

namespace hostnet::exposer {

/// Writes it. From outside where the container's processes are ours to look into, else by commands inside.
/// @throws Error as engine::write_alias() and engine::write_alias_inside().
void write_container_alias(engine::Client& client, const std::string& container, Ipv4 address,
                           const std::string& lease, Deadline deadline);

/// Takes it out again. Nothing when the container is gone. @throws Error.
void remove_container_alias(engine::Client& client, const std::string& container, const std::string& lease,
                            Deadline deadline);

}  // namespace hostnet::exposer
