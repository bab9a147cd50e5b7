// Finds a container that an earlier process started from an equal description.
#pragma once

#include "core/deadline.hpp"
#include "engine/containers.hpp"

#include <optional>
#include <string>

namespace hostnet::container {

/// Hash of the description: equal descriptions have equal hashes, others almost surely not. Pure.
std::string hash_of(const engine::ContainerSpec& spec);

/// A running container with that hash; nullopt if there is none. @throws Error.
std::optional<engine::ContainerSummary> find_reusable(engine::Containers& containers, const std::string& hash,
                                                      Deadline deadline);

}  // namespace hostnet::container
