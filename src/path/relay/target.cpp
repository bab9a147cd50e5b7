// Checks the container, then its ports.
#include "path/relay/target.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/container_alias.hpp"
#include "target/alias_holders.hpp"
#include "target/network_mode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace hostnet::exposer {
namespace {

std::vector<std::string> own_addresses(const engine::Container& container) {
  std::vector<std::string> out;
  for (const auto& endpoint : container.endpoints)
    for (const auto& address : endpoint.addresses()) out.push_back(address.to_string());
  if (out.empty()) out.emplace_back("127.0.0.1");
  return out;
}

// A container that shares another's network has the host's if that one has it. The kernel would say so, too,
// but not before a socket is there.
void check_own_network(engine::Client& client, const engine::Container& container, Deadline deadline) {
  constexpr std::string_view shared = "container:";
  auto mode = container.network_mode;
  for (int i = 0; i < 8 && mode.starts_with(shared); ++i)
    mode = client.container(mode.substr(shared.size()), deadline).network_mode;
  if (mode == "host") throw relay::uses_our_network(container.name);
}

// Before anything is set up, what writing the name would find. A file that cannot be read is its matter.
void check_name_by_relay(engine::Client& client, const engine::Container& container,
                         const ExposeRequest& request, const std::string& runtime_dir, Deadline deadline) {
  std::string hosts;
  try {
    hosts = read_container_hosts(client, container, alias_deadline(deadline));
  } catch (const Error& error) {
    return log::debug("the hosts file of container {} is not read: {}", container.name, error.what());
  }
  check_hosts_file(hosts, container.name, request, {relay::kInside}, runtime_dir);
}

}  // namespace

std::string port_clash(const engine::Container& container, const std::vector<std::uint16_t>& listening,
                       const HostPort& port, bool force) {
  if (std::ranges::binary_search(listening, port.container))
    return fmt::format("port {} is in use in container {}", port.container, container.name);
  if (!force && port.protocol == Protocol::tcp &&
      std::ranges::find(container.exposed_ports, port.container) != container.exposed_ports.end())
    return fmt::format("port {} is one that container {} announces for a service of its own (EXPOSE)",
                       port.container, container.name);
  return {};
}

void check_ports_differ(const state::TunnelRecord& other, const std::vector<HostPort>& ports,
                        std::string_view whose) {
  for (const auto& port : ports)
    if (std::ranges::any_of(other.ports, [&](const HostPort& one) {
          return one.container == port.container && one.protocol == port.protocol;
        }))
      throw Error(Errc::conflict, fmt::format("port {} of {} is lease {}'s", port.container, whose, other.id),
                  fmt::format("release that lease first (tc-hostnet release {}), or choose another container "
                              "port (HOST:CONTAINER)",
                              other.id));
}

void check_ports_are_unheld(const state::TunnelStore& store, const engine::Container& container,
                            const std::string& engine, const std::vector<HostPort>& ports,
                            const std::string& ignored) {
  for (const auto& other : store.load_all()) {
    if (other.container != container.id || other.engine != engine || other.id == ignored ||
        !store.is_alive(other))
      continue;
    check_ports_differ(other, ports, "container " + container.name);
  }
}

void check_engine_is_here(engine::Client& client, Deadline deadline) {
  if (const auto why = client.why_remote(deadline))
    throw Error(Errc::no_path,
                fmt::format("the relay path serves engines of this machine, not the one at {}, {}",
                            client.address().text(), *why),
                "take the ssh path: --via ssh");
}

RelayTarget resolve_for_relay(engine::Client& client, const state::TunnelStore& store,
                              const ExposeRequest& request, const std::vector<HostPort>& ports,
                              Deadline deadline) {
  if (request.target.kind() != Target::Kind::container)
    throw Error(Errc::no_path,
                fmt::format("the relay path serves containers and networks of an engine, not {}",
                            request.target.to_string()),
                "name a running container or a network: --container NAME, --network NAME");
  check_engine_is_here(client, deadline);
  auto container = client.container(request.target.name(), deadline);
  if (container.network_mode == "host") check_network_mode(client, container, deadline);
  // One that is only initialised has a network; its hosts file is the engine's to write.
  if (!container.running && (container.pid == 0 || request.write_alias))
    throw Error(Errc::not_found, fmt::format("container {} is not running", container.name),
                fmt::format("start it: {} start {}", container.command, shell_word(container.name)));
  check_ports_are_unheld(store, container, client.address().text(), ports);
  auto net = relay::open_container_net(container);
  if (!net.netns) check_own_network(client, container, deadline);
  std::map<Protocol, std::vector<std::uint16_t>> listening;
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    listening[protocol] = relay::listening_ports(net, protocol);
  for (const auto& port : ports)
    if (const auto clash = port_clash(container, listening[port.protocol], port, request.force);
        !clash.empty())
      throw Error(Errc::conflict, fmt::format("{}: {}", port.to_string(), clash),
                  "choose another container port (HOST:CONTAINER)");
  check_alias_is_unheld(client, request, {.runtime_dir = store.configured()}, deadline);
  if (request.write_alias) check_name_by_relay(client, container, request, store.configured(), deadline);
  RelayTarget out;
  out.network = container.endpoints.empty() ? container.network_mode : container.endpoints.front().network;
  out.sources = own_addresses(container);
  out.by_handoff = !net.netns;
  out.net = std::move(net);
  out.container = std::move(container);
  return out;
}

}  // namespace hostnet::exposer
