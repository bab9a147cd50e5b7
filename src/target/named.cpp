// Asks the engine for its names only after it did not know one.
#include "target/named.hpp"

#include "core/log.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "engine/networks.hpp"
#include "target/alias_holders.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

// Limit for both lists: the error must not take long.
constexpr std::chrono::seconds kLists{3};

bool is_among(std::string_view name, const std::vector<std::string>& names) {
  return std::ranges::find(names, name) != names.end();
}

KnownNames names_at(engine::Client& client, Deadline deadline) {
  const auto limit = Deadline::after(std::min<std::chrono::milliseconds>(kLists, deadline.remaining()));
  KnownNames known;
  try {
    known.command = client.command(limit);
    for (const auto& network : client.networks(limit)) known.networks.push_back(network.name);
    for (const auto& one : engine::Containers(client).list({}, limit))
      if (!one.name.empty() && !one.labels.contains(kLeaseLabel) && !one.labels.contains(kOwnerLabel))
        (one.state == "running" ? known.running : known.not_running).push_back(one.name);
    if (!client.is_podman(limit)) known.swarm = engine::Networks(client).swarm_node(limit);
  } catch (const Error& error) {
    log::debug("what else there is cannot be listed: {}", error.what());
  }
  return known;
}

// Beside what the name may have been meant to be.
std::string or_else(const std::optional<std::string>& meant, const std::string& advice) {
  return meant ? fmt::format("did you mean {}? Else: {}", quote(*meant), advice) : advice;
}

// A worker learns of a network from the manager when a container of its own joins.
std::string at_a_manager(const engine::SwarmNode& swarm) {
  auto out = std::string(
      "this engine is a worker of a swarm, and knows a network of the swarm only while a container of "
      "its own is on it: ask a manager, with --engine");
  const auto manager =
      swarm.managers.empty() ? std::string_view{} : engine::host_of_manager(swarm.managers.front());
  if (!manager.empty()) out += fmt::format(" ssh://{}", manager);
  return out;
}

}  // namespace

Error no_such_network(std::string_view name, const KnownNames& known) {
  if (is_among(name, known.running) || is_among(name, known.not_running))
    return {Errc::not_found, fmt::format("there is no network {}, but a container of that name", quote(name)),
            fmt::format("name the container: --container {}", shell_word(name))};
  const auto error =
      no_such("network", name, known.networks, fmt::format("see them: {} network ls", known.command));
  if (!known.swarm.is_member || known.swarm.is_manager) return error;
  return {error.code(), error.what(), or_else(nearest(name, known.networks), at_a_manager(known.swarm))};
}

Error no_such_container(std::string_view name, const KnownNames& known) {
  if (is_among(name, known.networks))
    return {Errc::not_found, fmt::format("there is no container {}, but a network of that name", quote(name)),
            fmt::format("name the network: --network {}", shell_word(name))};
  auto what = fmt::format("there is no container {}", quote(name));
  if (!known.running.empty()) what += "; running: " + nearest_first(name, known.running, kNamesShown);
  if (!known.not_running.empty())
    what += "; not running: " + nearest_first(name, known.not_running, kNamesShown / 2);
  auto all = known.running;
  all.insert(all.end(), known.not_running.begin(), known.not_running.end());
  const auto meant = nearest(name, all);
  if (known.swarm.is_member && !known.swarm.is_alone)
    return {
        Errc::not_found, what,
        or_else(
            meant,
            "if it is on another node of the swarm, name that node's engine with --engine; docker service ps "
            "tells the node")};
  return {Errc::not_found, what,
          meant ? fmt::format("did you mean {}?", quote(*meant))
                : fmt::format("see them: {} ps -a", known.command)};
}

engine::Network network_named(engine::Client& client, const std::string& name, Deadline deadline) {
  try {
    return client.network(name, deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    log::debug("{}", error.what());
  }
  throw no_such_network(name, names_at(client, deadline));
}

engine::Container container_named(engine::Client& client, const std::string& name, Deadline deadline) {
  try {
    return client.container(name, deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    log::debug("{}", error.what());
  }
  throw no_such_container(name, names_at(client, deadline));
}

}  // namespace hostnet::exposer
