// The networks of a compose project, found by the labels that docker compose and podman-compose put on what they
// make.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// The compose project of a container or network with these labels.
std::optional<std::string> project_of(const std::map<std::string, std::string>& labels);

/// The networks that were made for the project; if there are none, those of its containers (a project on a network
/// that exists already). Sorted, not empty. @throws Error: not_found with the projects that there are, no_path for
/// a project without a network, and what the client throws.
std::vector<std::string> networks_of_project(engine::Client& client, const std::string& project,
                                             Deadline deadline);

}  // namespace hostnet::exposer
