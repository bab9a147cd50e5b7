// Finds the network or container that a user named at an engine. If there is none, the error lists what there is,
// in place of the engine's own words.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/swarm.hpp"
#include "hostnet/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// The names that an engine knows, as far as it tells.
struct KnownNames {
  std::vector<std::string> networks;
  std::vector<std::string> running;      ///< Containers, without sidecars.
  std::vector<std::string> not_running;  ///< Likewise.
  const char* command = "docker";        ///< The engine's own.
  engine::SwarmNode swarm = {};
};

/// "there is no network 'wbe'; there are 'web', 'bridge' and 3 more; did you mean 'web'?" A container of that
/// name is told, too, and by a swarm's worker where to ask for the swarm's networks. Pure.
Error no_such_network(std::string_view name, const KnownNames& known);
/// "there is no container 'ap'; running: 'app' and 'db'; not running: 'old'". A member of a swarm tells where
/// the containers of other nodes are. Pure.
Error no_such_container(std::string_view name, const KnownNames& known);

/// As the client's calls; @throws Error{not_found} as above.
engine::Network network_named(engine::Client& client, const std::string& name, Deadline deadline);
engine::Container container_named(engine::Client& client, const std::string& name, Deadline deadline);

}  // namespace hostnet::exposer
