// Reads labels of networks and containers.
#include "target/project.hpp"

#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "engine/networks.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <array>
#include <set>
#include <utility>

namespace hostnet::exposer {
namespace {

constexpr std::array kProjectLabels{"com.docker.compose.project", "io.podman.compose.project"};

std::set<std::string> networks_of_containers(engine::Client& client, const std::string& label,
                                             Deadline deadline) {
  std::set<std::string> out;
  for (const auto& one : engine::Containers(client).list({label}, deadline)) {
    try {
      const auto container = client.container(one.id, deadline);
      for (const auto& endpoint : container.endpoints)
        if (endpoint.network != "host" && endpoint.network != "none") out.insert(endpoint.network);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;  // it went since the list was made
    }
  }
  return out;
}

// Of everything that carries one of the labels.
std::vector<std::string> known_projects(engine::Client& client, Deadline deadline) {
  std::set<std::string> out;
  const auto add = [&](const auto& listed) {
    for (const auto& one : listed)
      if (auto project = project_of(one.labels)) out.insert(std::move(*project));
  };
  for (const auto* const label : kProjectLabels) {
    add(engine::Containers(client).list({label}, deadline));
    add(engine::Networks(client).list({label}, deadline));
  }
  return {out.begin(), out.end()};
}

}  // namespace

std::optional<std::string> project_of(const std::map<std::string, std::string>& labels) {
  for (const auto* const label : kProjectLabels)
    if (const auto found = labels.find(label); found != labels.end()) return found->second;
  return std::nullopt;
}

std::vector<std::string> networks_of_project(engine::Client& client, const std::string& project,
                                             Deadline deadline) {
  if (project.empty()) throw Error(Errc::invalid_argument, "the project's name is empty");
  std::set<std::string> names;
  for (const auto* const label : kProjectLabels)
    for (const auto& network :
         engine::Networks(client).list({fmt::format("{}={}", label, project)}, deadline))
      names.insert(network.name);
  for (const auto* const label : kProjectLabels)
    if (names.empty()) names = networks_of_containers(client, fmt::format("{}={}", label, project), deadline);
  if (!names.empty()) return {names.begin(), names.end()};
  const auto known = known_projects(client, deadline);
  for (const auto& one : known)
    if (one == project)
      throw Error(Errc::no_path, fmt::format("compose project {} is on no network", quote(project)),
                  "give its services a network: networks: in the compose file");
  throw no_such("compose project", project, known,
                client.is_podman(deadline)
                    ? "see the label io.podman.compose.project: podman network ls --format json"
                    : "see them: docker compose ls -a");
}

}  // namespace hostnet::exposer
