// Listens in the container and writes the name into its hosts file.
#include "path/relay/container_lease.hpp"

#include "core/log.hpp"
#include "engine/alias.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/container_alias.hpp"
#include "path/relay/handoff.hpp"
#include "path/relay/port_map.hpp"
#include "path/sidecar/sidecar.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace hostnet::exposer {

ContainerLease::ContainerLease(RelaySettings settings, const ExposeRequest& request,
                               std::vector<HostPort> wanted, RelayTarget target, Deadline deadline)
    : RelayLease(std::move(settings), request, std::move(wanted), relay::kInside, target.network),
      net_(std::move(target.net)),
      container_(std::move(target.container)) {
  record_.sources = std::move(target.sources);
  record_.container = container_.id;
  record_.handed_off = target.by_handoff;
  if (target.by_handoff) record_.sidecar = relay::handoff_name(id);
  if (request.write_alias) record_.alias_in = {container_.id};
  begin(deadline);
}

// Two leases that are made at once do not see each other's record before; now at least one of them does.
void ContainerLease::check_rivals() {
  check_ports_are_unheld(*settings_.store, container_, record_.engine, ports, id);
}

std::vector<relay::Door> ContainerLease::doors() const {
  std::vector<relay::Door> out;
  for (const auto& port : ports) out.push_back(relay::door_of(port));
  return out;
}

void ContainerLease::open(Deadline deadline) {
  relay::OpenDoors opened;
  if (record_.handed_off) {
    engine::Client client(settings_.engine);
    auto handed = relay::hand_off(
        client, *settings_.store, container_,
        {.lease = id, .name = record_.sidecar, .hosts = !record_.alias_in.empty(), .ports = doors()},
        deadline);
    hosts_ = std::move(handed.hosts);
    record_.sidecar.clear();
    // The engine may have found the namespace by the process's number, which is another's once this one has
    // ended.
    if (relay::has_ended(net_.process))
      throw Error(Errc::not_found, fmt::format("container {} has stopped", net_.container));
    opened = std::move(handed.doors);
  } else {
    opened = relay::bind_inside(net_, relay::kInside, doors(), id, deadline);
    net_.netns.reset();  // not needed any more, and would keep the namespace after the container
    net_.userns.reset();
  }
  map_ = std::move(opened.map);
  if (opened.map_error != 0)
    log::debug("lease {}: no rules in container {} ({}): it cannot bind the lease's ports itself", id,
               net_.container, std::strerror(opened.map_error));
  for (const auto& socket : opened.sockets) record_.listens.push_back(relay::bound_port(socket));
  for (std::size_t i = 0; i < ports.size(); ++i) serve(i, relay::kInside, std::move(opened.sockets[i]));
}

void ContainerLease::close_rest() noexcept {
  if (!map_) return;
  const auto all = doors();
  std::vector<relay::Door> behind;
  for (std::size_t i = 0; i < record_.listens.size(); ++i)
    if (record_.listens[i] != all[i].port) behind.push_back(all[i]);
  relay::PortMap::remove(map_.get(), id.c_str(), behind);
  map_.reset();
}

void ContainerLease::write_names(Deadline deadline) {
  if (record_.alias_in.empty()) return;
  try {
    if (hosts_) {
      engine::write_alias_to(hosts_.get(), net_.container, kAlias, relay::kInside, id,
                             alias_deadline(deadline));
    } else {
      engine::Client client(settings_.engine);
      write_container_alias(client, record_.container, relay::kInside, id, alias_deadline(deadline));
    }
  } catch (const Error& error) {
    // A command that timed out may still write; after any other error nothing is written there.
    if (hosts_ || error.code() != Errc::timed_out) record_.alias_in.clear();
    throw;
  }
}

void ContainerLease::remove_names(Deadline deadline, Failures& failures) {
  if (hosts_) {
    try {
      return engine::remove_alias_from(hosts_.get(), id, alias_deadline(deadline));
    } catch (const Error& error) {  // the container's doing, and only that container keeps it
      return log::warn("the hosts file of container {} is not tidied: {}", net_.container, error.what());
    }
  }
  if (record_.handed_off || record_.alias_in.empty()) return;
  engine::Client client(settings_.engine);
  remove_container_aliases(client, record_.alias_in, id, deadline, failures);
}

void ContainerLease::remove_remains(Deadline deadline) {
  if (record_.sidecar.empty()) return;  // else the hand-off failed
  engine::Client client(settings_.engine);
  remove_recorded_sidecar(client, record_.sidecar, id, deadline);
}

void ContainerLease::look(bool readable) {
  if (readable) end(ExposureState::released, "its container has stopped");
}

std::string ContainerLease::taken(const Served& one) const {
  // With a port map the container may use the lease's own port as it likes.
  return fmt::format("port {} is in use in container {} now", record_.listens.at(one.port), net_.container);
}

}  // namespace hostnet::exposer
