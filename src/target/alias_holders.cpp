// Reads the sidecars' labels and the containers' hosts files, and compares them with a request.
#include "target/alias_holders.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/error.hpp"
#include "lease/command_line.hpp"
#include "lease/container_alias.hpp"
#include "lease/lease.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

namespace hostnet::exposer {
namespace {

using Holders = std::vector<AliasHolder>;

// Limit for the hosts files of all containers of a network: a container can delay a command in it.
constexpr std::chrono::seconds kAllFiles{5};

// An engine that does not list its containers, as Podman does with one that is being removed, must not keep a
// lease from being made.
Holders holders_at(engine::Client& client, const std::string& ignored, Deadline deadline) {
  Holders out;
  try {
    for (const auto& one : engine::Containers(client).list({kLeaseLabel}, deadline)) {
      auto holder = alias_holder(one.labels);
      if (one.state == "running" && !holder.lease.empty() && holder.lease != ignored)
        out.push_back(std::move(holder));
    }
  } catch (const Error& error) {
    if (error.code() != Errc::engine_error && error.code() != Errc::not_found) throw;
    log::debug("leases of other owners are not known: {}", error.what());
  }
  return out;
}

// `both`: the target that covers both leases; nullptr: none does.
[[noreturn]] void refuse(const std::string& where, const std::string& lease,
                         const std::vector<HostPort>* ports, const ExposeRequest& request,
                         const Target* both) {
  const auto release = fmt::format("tc-hostnet release {}", lease);
  std::string hint = "release that lease first: " + release;
  if (both != nullptr && ports != nullptr && !ports->empty())
    hint =
        fmt::format("have one lease for both: {} && {}", release, one_line_for(*ports, request.ports, *both));
  else if (both != nullptr)
    hint = fmt::format("release that lease first ({}), then name its ports in this request, too", release);
  throw Error(
      Errc::conflict,
      fmt::format("host port exposure {} already defined {} by lease {}, which would lose its ports there",
                  kAlias, where, lease),
      hint);
}

// The name of a network of the container that this holder serves by DNS.
std::optional<std::string> shared_network(engine::Client& client, const engine::Container& container,
                                          const AliasHolder& holder, Deadline deadline) {
  if (holder.network.empty()) return std::nullopt;
  for (const auto& endpoint : container.endpoints) {
    if (endpoint.network_id == holder.network) return endpoint.network;
    // Podman before 5 repeats the name.
    if (endpoint.network_id == endpoint.network &&
        client.network(endpoint.network, deadline).id == holder.network)
      return endpoint.network;
  }
  return std::nullopt;
}

void check_container(engine::Client& client, const engine::Container& container, const Holders& holders,
                     const ExposeRequest& request, Deadline deadline) {
  const auto name = Target::container(container.name);
  for (const auto& holder : holders) {
    if (holder.container == container.id)
      refuse("for container " + container.name, holder.lease, &holder.ports, request, &name);
    if (const auto network = shared_network(client, container, holder, deadline)) {
      const auto both = Target::network(*network);
      refuse("on network " + *network, holder.lease, &holder.ports, request, &both);
    }
  }
}

// The container's own entry comes before the engine's DNS.
void check_hosts(engine::Client& client, const engine::Container& container, const ExposeRequest& request,
                 const std::string& ignored, Deadline deadline) {
  for (const auto& entry : container.extra_hosts)
    if (entry.starts_with(std::string(kAlias) + ":")) {
      log::warn(
          "container {} does not reach these ports: it was created with --add-host {}, so there {} leads "
          "elsewhere; create it without that entry, or use the native path",
          container.name, entry, kAlias);
      return;
    }
  std::optional<engine::Definition> other;
  try {
    other = engine::definition_by_others(read_container_hosts(client, container, deadline), kAlias, ignored);
  } catch (const Error& error) {  // it has no cat, or has stopped
    log::debug("the hosts file of container {} is not read: {}", container.name, error.what());
  }
  if (!other) return;
  if (other->lease.empty())
    log::warn("container {} does not reach these ports: its hosts file gives {} the address {}",
              container.name, kAlias, quote(other->address));
  else
    refuse("in container " + container.name, other->lease, nullptr, request, &request.target);
}

void check_network(engine::Client& client, const ExposeRequest& request, const Holders& holders, NameBy by,
                   const std::string& ignored, Deadline deadline) {
  const auto network = client.network(request.target.name(), deadline);
  for (const auto& holder : holders)
    if (holder.network == network.id)
      refuse("on network " + network.name, holder.lease, &holder.ports, request, &request.target);
  const auto files = Deadline::after(std::min<std::chrono::milliseconds>(kAllFiles, deadline.remaining()));
  for (const auto& id : network.containers) {
    try {
      const auto container = client.container(id, deadline);
      if (!container.running || container.labels.contains(kLeaseLabel) ||
          container.labels.contains(kOwnerLabel))
        continue;
      for (const auto& holder : holders) {
        if (by == NameBy::dns && holder.container == container.id)
          refuse("for container " + container.name, holder.lease, &holder.ports, request, &request.target);
        if (const auto other = shared_network(client, container, holder, deadline))
          refuse(fmt::format("on network {} of container {}", *other, container.name), holder.lease, nullptr,
                 request, nullptr);
      }
      if (by == NameBy::dns) check_hosts(client, container, request, ignored, files);
    } catch (const Error& error) {
      // The container may have stopped since the network was listed.
      if (error.code() != Errc::not_found) throw;
    }
  }
}

}  // namespace

AliasHolder alias_holder(const std::map<std::string, std::string>& labels) {
  const auto value = [&](const char* label) {
    const auto found = labels.find(label);
    return found == labels.end() ? std::string() : found->second;
  };
  AliasHolder holder{
      .lease = value(kLeaseLabel), .network = value(kAliasLabel), .container = value(kAliasContainerLabel)};
  if (!state::is_token(holder.lease)) return {};
  const auto ports = value(kLeasePortsLabel);
  for (const auto word : split(ports, ',')) {
    try {
      if (!word.empty()) holder.ports.push_back(HostPort::parse(word));
    } catch (const Error&) {
      holder.ports.clear();
      break;
    }
  }
  return holder;
}

std::string one_line_for(const std::vector<HostPort>& first, const std::vector<HostPort>& second,
                         const Target& target) {
  std::set<HostPort> all(first.begin(), first.end());
  all.insert(second.begin(), second.end());
  return expose_command({all.begin(), all.end()}, target);
}

void check_alias_is_unheld(engine::Client& client, const ExposeRequest& request, NameBy by, Deadline deadline,
                           const std::string& ignored) {
  const auto kind = request.target.kind();
  if (!request.write_alias || (kind != Target::Kind::container && kind != Target::Kind::network)) return;
  const auto holders = holders_at(client, ignored, deadline);
  if (kind == Target::Kind::network) return check_network(client, request, holders, by, ignored, deadline);
  if (holders.empty()) return;
  check_container(client, client.container(request.target.name(), deadline), holders, request, deadline);
}

void check_alias_is_unheld(const std::string& engine, const ExposeRequest& request, Deadline deadline) {
  const auto kind = request.target.kind();
  if (!request.write_alias || (kind != Target::Kind::container && kind != Target::Kind::network)) return;
  engine::Client client(engine::Address::find(engine));
  check_alias_is_unheld(client, request, NameBy::hosts_files, deadline);
}

}  // namespace hostnet::exposer
