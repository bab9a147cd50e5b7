// Resolves targets for the ssh path.
#include "path/ssh/target.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "netlink/link.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sshd.hpp"
#include "target/attached.hpp"
#include "target/endpoint.hpp"
#include "target/interface_name.hpp"
#include "target/named.hpp"
#include "target/network_mode.hpp"

#include <fmt/format.h>

namespace hostnet::exposer {
namespace {

// The bridge here that has the network's name and gateway: it may be another network's.
std::optional<netlink::Link> namesake(netlink::Rtnl& rtnl, const engine::Network& network) {
  if (network.bridge.empty() || interface_name_fault(network.bridge)) return std::nullopt;
  auto link = rtnl.link(network.bridge);
  if (!link || link->kind != "bridge") return std::nullopt;
  const auto addresses = rtnl.addresses(link->ifindex);
  const bool has_gateway =
      !network.ipv4 ||
      (network.gateway ? netlink::has_address(addresses, *network.gateway) : !addresses.empty());
  return has_gateway ? link : std::nullopt;
}

// Why addresses on the network cannot be dialled from here. nullopt when they can: its bridge is here, has
// the gateway's address, and belongs to this engine.
std::optional<std::string> why_not_direct(engine::Client& client, const engine::Network& network,
                                          Deadline deadline) {
  if (const auto why = client.why_remote(deadline))
    return fmt::format("it is of the engine at {}, {}", client.address().socket, *why);
  netlink::Rtnl rtnl;
  const auto link = namesake(rtnl, network);
  if (!link || runs_rootless(client, deadline)) return "its bridge is not in this network namespace";
  return why_not_its_bridge(client, rtnl, network, *link, deadline);
}

// In a container with the network of the engine's host a namesake is the network's bridge, unless the engine has its
// networks elsewhere.
bool is_on_our_host(engine::Client& client, const engine::Network& network, Deadline deadline) {
  const auto& own = client.own_container(deadline);
  if (!own || !own->host_network || runs_rootless(client, deadline)) return false;
  netlink::Rtnl rtnl;
  return namesake(rtnl, network).has_value();
}

Surroundings surroundings(engine::Client& client, const engine::Network& network, bool direct,
                          Deadline deadline) {
  Surroundings known{.direct = direct};
  if (direct) return known;
  known.on_host = is_on_our_host(client, network, deadline);
  known.own = client.own_container(deadline);
  known.host_override = process_environment("TESTCONTAINERS_HOST_OVERRIDE").value_or("");
  return known;
}

// Why the engine would not let a sidecar join, known before one is created.
void check_joinable(const engine::Network& network) {
  if (network.driver == "host" || network.driver == "null" || network.name == "none")
    throw Error(Errc::invalid_argument,
                fmt::format("network {} has driver {}: a sidecar there cannot be reached", network.name,
                            quote(network.driver)),
                fmt::format("use a bridge network: {} network create NAME", network.command));
  if (network.ingress)
    throw Error(
        Errc::no_path,
        fmt::format("network {} is the swarm's own routing mesh, which no container can join", network.name),
        "name the network that the service's tasks share");
  if (!network.attachable)
    throw Error(
        Errc::no_path,
        fmt::format("network {} is a swarm's and not attachable: a sidecar cannot join it", network.name),
        "make it anew with --attachable: docker network create -d overlay --attachable NAME");
}

SshTarget on_network(engine::Client& client, const std::string& name, Deadline deadline) {
  SshTarget out{.network = network_named(client, name, deadline)};
  check_joinable(out.network);
  const auto why = why_not_direct(client, out.network, deadline);
  out.known = surroundings(client, out.network, !why, deadline);
  // For such an engine the relay path is no better way, and a command of the engine leads to the sidecar.
  if (!why || client.why_remote(deadline)) return out;
  if (out.network.internal)
    throw Error(Errc::no_path,
                fmt::format("network {} is internal, and a sidecar on it cannot be reached: {}",
                            out.network.name, *why),
                "use a network that is not internal");
  // Their containers share a device of the host, which neither reaches them nor publishes their ports.
  if (out.network.driver == "macvlan" || out.network.driver == "ipvlan")
    throw Error(
        Errc::no_path,
        fmt::format("network {} has driver {}: this host cannot reach a sidecar on it, and the "
                    "engine publishes no port of one",
                    out.network.name, quote(out.network.driver)),
        fmt::format("connect the container to a bridge network, too: {} network connect NETWORK CONTAINER",
                    out.network.command));
  return out;
}

// The first of the container's networks that serves, with what the lease needs to know of the container. The
// error names each network with the reason against it; if there is only one, it is that network's.
SshTarget on_any_network_of(engine::Client& client, const engine::Container& container, bool local,
                            Deadline deadline) {
  const auto endpoints = endpoints_of(container, local);
  std::vector<Against> reasons;
  for (const auto& endpoint : endpoints) {
    try {
      auto out =
          on_network(client, endpoint.network_id.empty() ? endpoint.network : endpoint.network_id, deadline);
      out.container = ServedContainer{container.id, container.pid, endpoint.addresses()};
      out.sources = out.container->addresses;
      return out;
    } catch (const Error& error) {
      const bool is_of_network = error.code() == Errc::no_path || error.code() == Errc::invalid_argument;
      if (!is_of_network || endpoints.size() == 1) throw;
      reasons.push_back({endpoint.network, error.what()});
    }
  }
  throw Error(Errc::no_path, reasons_against(container, reasons),
              fmt::format("connect it to a bridge network: {} network connect NETWORK {}", container.command,
                          shell_word(container.name)));
}

void check_alias_is_free(const engine::Container& container) {
  for (const auto& entry : container.extra_hosts)
    if (entry.starts_with(std::string(kAlias) + ":"))
      throw Error(
          Errc::conflict,
          fmt::format("host port exposure {} already defined: container {} was started with --add-host {}",
                      kAlias, container.name, entry),
          "start it without that entry, or use the native path, or --no-alias");
}

SshTarget for_container(engine::Client& client, const std::string& name, bool with_alias, Deadline deadline) {
  const auto container = container_named(client, name, deadline);
  check_network_mode(client, container, deadline);
  if (!container.running)
    throw Error(Errc::not_found, fmt::format("container {} is not running", container.name),
                fmt::format("start it: {} start {}", container.command, shell_word(container.name)));
  if (with_alias) check_alias_is_free(container);
  // With an engine on another machine the pid is another process's here, so its routes tell nothing.
  auto out = on_any_network_of(client, container, !client.why_remote(deadline), deadline);
  if (with_alias) out.alias_in = {container.id};
  return out;
}

}  // namespace

NameBy name_by(const SshTarget& target) {
  return target.alias_by_dns ? NameBy::dns : NameBy::sidecar_in_file;
}

ServedContainer served(const engine::Container& container, bool local) {
  return {container.id, container.pid, endpoints_of(container, local).front().addresses()};
}

void check_port_for_ssh(const HostPort& port) {
  if (port.protocol != Protocol::tcp)
    throw NoDatagrams(Errc::invalid_argument,
                      fmt::format("{}: the ssh path carries TCP only", port.to_string()),
                      "take the native path as root, or the relay path: --via relay");
  if (port.container == ssh::kPort)
    throw Error(Errc::invalid_argument, fmt::format("{}: {}", port.to_string(), kSshPortReserved),
                "choose another container port (HOST:CONTAINER)");
}

SshTarget resolve_for_ssh(engine::Client& client, const Target& target, bool with_alias, Deadline deadline) {
  switch (target.kind()) {
    case Target::Kind::network: {
      auto out = on_network(client, target.name(), deadline);
      out.alias_by_dns = with_alias && out.network.dns;
      if (with_alias && !out.alias_by_dns) out.alias_in = out.network.containers;
      return out;
    }
    case Target::Kind::container:
      return for_container(client, target.name(), with_alias, deadline);
    case Target::Kind::bridge:
    case Target::Kind::netns:
      break;
  }
  throw Error(
      Errc::no_path,
      fmt::format("the ssh path serves containers and networks of an engine, not {}", target.to_string()),
      "run it as root for the native path, or name --container or --network");
}

}  // namespace hostnet::exposer
