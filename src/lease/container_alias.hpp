// The alias in a container's hosts file, edited from outside or through the engine.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "core/ip.hpp"
#include "engine/client.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// The deadline for the hosts files of all containers of one operation (15 s at most). A command in the
/// container takes as long as the container likes, so each container gets 5 s of it at most. An edit from
/// outside has engine::kAliasBudget.
Deadline alias_deadline(Deadline deadline);

/// Writes the alias: from outside if this process may inspect the container's processes, else by commands in
/// it. `beside` as in engine::definition_by_others(); with `bare`, a bare line with this address is the lease's.
/// @throws Error as engine::write_alias() and engine::write_alias_inside().
void write_container_alias(engine::Client& client, const std::string& container, Ip address,
                           const std::string& lease, Deadline deadline,
                           const std::vector<std::string>& beside = {}, bool bare = false);

/// The text of the container's hosts file, read from outside or by a command in it. @throws Error.
std::string read_container_hosts(engine::Client& client, const engine::Container& container,
                                 Deadline deadline);

/// Removes the alias; with `bare` also a bare line with that address. Does nothing if the container is gone.
/// @throws Error.
void remove_container_alias(engine::Client& client, const std::string& container, const std::string& lease,
                            Deadline deadline, std::optional<Ip> bare = {});

/// Whether a bare line for the alias may be a lease's: not if the container was created with an entry for it.
bool may_be_bare(const engine::Container& container);

/// Removes the alias from all containers, within alias_deadline(). A failure caused by a container is a
/// warning that names it and does not keep the lease's record: the alias leads nowhere, and only that
/// container keeps it. An engine that refuses or does not answer adds to `failures`.
void remove_container_aliases(engine::Client& client, const std::vector<std::string>& containers,
                              const std::string& lease, Deadline deadline, Failures& failures);

}  // namespace hostnet::exposer
