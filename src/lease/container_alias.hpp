// The alias in a container's hosts file, by whichever way this process has: from outside, or by the engine.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"

#include <string>
#include <vector>

namespace hostnet::exposer {

/// For the hosts files of all containers of one operation. A command inside takes the engine some time, and
/// its program as long as the container likes; so each container has a part of it only. From outside the
/// budget is engine::kAliasBudget.
Deadline alias_deadline(Deadline deadline);

/// Writes it. From outside where the container's processes are ours to look into, else by commands inside.
/// @throws Error as engine::write_alias() and engine::write_alias_inside().
void write_container_alias(engine::Client& client, const std::string& container, Ipv4 address,
                           const std::string& lease, Deadline deadline);

/// Takes it out again. Nothing when the container is gone. @throws Error.
void remove_container_alias(engine::Client& client, const std::string& container, const std::string& lease,
                            Deadline deadline);

/// Takes it out of all of them, within alias_deadline(). What a container holds up or makes impossible is a
/// warning that names it, and no reason to keep a lease's record: the name leads nowhere, and the container
/// keeps it there. What an engine refuses or does not answer is among the `failures`.
void remove_container_aliases(engine::Client& client, const std::vector<std::string>& containers,
                              const std::string& lease, Deadline deadline, Failures& failures);

}  // namespace hostnet::exposer
