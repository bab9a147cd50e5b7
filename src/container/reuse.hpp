// Finding a container again that an earlier process has started from an equal description.
#pragma once

#include "core/deadline.hpp"
#include "engine/containers.hpp"

#include <optional>
#include <string>

namespace hostnet::container {

/// A name for the description: equal ones have equal names, others almost surely not. Pure.
std::string hash_of(const engine::ContainerSpec& spec);

/// One that runs and was made from that description. @throws Error.
std::optional<engine::ContainerSummary> find_reusable(engine::Containers& containers, const std::string& hash,
                                                      Deadline deadline);

}  // namespace hostnet::container
