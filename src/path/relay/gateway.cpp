// Finds the bridge, and binds there.
#include "path/relay/gateway.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/drops.hpp"
#include "hostnet/exposer.hpp"
#include "netlink/link.hpp"
#include "netlink/sock_diag.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/target.hpp"
#include "target/alias_holders.hpp"
#include "target/named.hpp"
#include "target/network_mode.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

namespace hostnet::exposer {
bool has_line_for(const engine::Container& container, Ipv4 host_gateway) {
  return std::ranges::any_of(container.extra_hosts, [&](const std::string& line) {
    return line == std::string(kAlias) + ":host-gateway" ||
           line == fmt::format("{}:{}", kAlias, host_gateway.to_string());
  });
}

namespace {

bool is_served(const engine::Container& container) {
  return container.running && !container.labels.contains(kLeaseLabel);
}

// Those that run on the network: who gets the name, and who has it by a line of its own.
void add_containers(GatewayTarget& out, engine::Client& client, const engine::Network& network,
                    Deadline deadline) {
  for (const auto& id : network.containers) {
    try {
      const auto container = client.container(id, deadline);
      if (!is_served(container)) continue;
      if (out.host_gateway && has_line_for(container, *out.host_gateway))
        out.by_host_gateway = true;
      else
        out.containers.push_back(id);
    } catch (const Error& error) {
      // The container may have stopped since the network was listed.
      if (error.code() != Errc::not_found) throw;
    }
  }
}

std::shared_ptr<const relay::EngineNet> find_engine_net(engine::Client& client,
                                                        const engine::Network& network, Deadline deadline) {
  for (const auto& id : network.containers) {
    try {
      const auto container = client.container(id, deadline);
      if (container.running) return std::make_shared<const relay::EngineNet>(container);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
    }
  }
  throw Error(Errc::no_path,
              fmt::format("the network namespace of the rootless engine at {} is found by a container, and "
                          "none runs on network {}",
                          client.address().text(), network.name),
              "start a container on the network first; or take the ssh path: --via ssh");
}

// The bridge is where the engine's other processes are, so it is the engine's.
GatewayTarget resolve_rootless(engine::Client& client, const std::string& name, Deadline deadline) {
  check_engine_is_here(client, deadline);  // it leads to the namespace that is entered
  const auto network = network_named(client, name, deadline);
  if (network.driver != "bridge")
    throw Error(
        Errc::no_path,
        fmt::format("network {} is of driver {}, not a bridge network", network.name, quote(network.driver)),
        "take the ssh path: --via ssh");
  GatewayTarget out{.network = network.name, .bridge = network.bridge};
  out.net = find_engine_net(client, network, deadline);
  out.netns = out.net->inode();
  auto links = out.net->links(deadline);
  const auto bridge = links.link(network.bridge);
  const auto own = bridge ? links.addresses(bridge->ifindex) : std::vector<netlink::Address>();
  if (own.empty() || (network.gateway && !netlink::has_address(own, *network.gateway)))
    throw Error(Errc::no_path,
                fmt::format("network {} has no IPv4 gateway on a bridge of its engine", network.name),
                "take the ssh path: --via ssh");
  out.ifindex = bridge->ifindex;
  out.gateway = network.gateway.value_or(own.front().address);
  if (const auto host_gateway = client.host_gateway(deadline);
      host_gateway && host_gateway != out.gateway && netlink::has_address(links.addresses(), *host_gateway))
    out.host_gateway = host_gateway;
  add_containers(out, client, network, deadline);
  return out;
}

}  // namespace

GatewayTarget resolve_gateway(engine::Client& client, const std::string& engine, const std::string& name,
                              bool force, Deadline deadline) {
  if (runs_rootless(client, deadline)) return resolve_rootless(client, name, deadline);
  netlink::Rtnl rtnl;
  Resolver resolver(rtnl, engine);
  const auto resolved = resolver.resolve(Target::network(name), false, force, deadline);
  const auto network = network_named(client, name, deadline);
  GatewayTarget out{.network = network.name,
                    .bridge = resolved.bridge.name,
                    .ifindex = resolved.bridge.ifindex,
                    .gateway = resolved.gateways.front(),
                    .netns = relay::own_netns_inode()};
  for (const auto& address : rtnl.addresses(out.ifindex))
    if (address.address == out.gateway) out.prefix = address.prefix;
  if (resolved.gateways.size() > 1) out.host_gateway = resolved.gateways[1];
  add_containers(out, client, network, deadline);
  return out;
}

void check_gateway_is_unheld(const state::TunnelStore& store, const GatewayTarget& target,
                             const std::vector<HostPort>& ports, const std::string& ignored) {
  for (const auto& other : store.load_all()) {
    const bool is_apart = other.bridge_netns != 0 && target.netns != 0 && other.bridge_netns != target.netns;
    const bool is_here =
        other.bridge == target.bridge && other.address == target.gateway.to_string() && !is_apart;
    if (!is_here || other.id == ignored || !store.is_alive(other)) continue;
    check_ports_differ(other, ports, "network " + target.network);
  }
}

GatewayTarget checked_network(engine::Client& client, const state::TunnelStore& store,
                              const ExposeRequest& request, const std::vector<HostPort>& ports,
                              Deadline deadline) {
  check_engine_is_here(client, deadline);
  auto target =
      resolve_gateway(client, client.address().text(), request.target.name(), request.force, deadline);
  check_gateway_is_unheld(store, target, ports);
  check_alias_is_unheld(client, request, {.runtime_dir = store.configured()}, deadline);
  return target;
}

namespace {

std::vector<firewall::Drop> certain_drops(const GatewayTarget& target, const std::vector<HostPort>& ports,
                                          Deadline deadline) {
  constexpr std::chrono::milliseconds span{1500};
  const auto rules =
      firewall::read_rules(Deadline::after(std::min<std::chrono::milliseconds>(span, deadline.remaining())));
  std::vector<firewall::Drop> out;
  for (const auto& port : ports) {
    auto drop = firewall::find_drop(rules, {.bridge = target.bridge,
                                            .port = {},
                                            .source = {target.gateway, target.prefix},
                                            .dialled = target.gateway,
                                            .dialled_port = port.container,
                                            .host_port = port.container,
                                            .protocol = port.protocol,
                                            .bridge_calls_iptables = firewall::bridge_calls_iptables(),
                                            .service = target.gateway,
                                            .dnat = false});
    if (!drop || !drop->certain) continue;
    drop->what += fmt::format(" {} what containers send to {}:{}{}", drop->rejects ? "rejects" : "drops",
                              target.gateway.to_string(), port.container,
                              port.protocol == Protocol::udp ? " by UDP" : "");
    out.push_back(std::move(*drop));
  }
  return out;
}

}  // namespace

// A rootless engine's bridges are in a namespace that this host's rules do not see.
void warn_of_firewall(const GatewayTarget& target, const std::vector<HostPort>& ports, Deadline deadline) {
  if (::geteuid() != 0 || target.net) return;
  try {
    for (const auto& drop : certain_drops(target, ports, deadline))
      log::warn("{}; let it in with: {}", drop.what, drop.remedy);
  } catch (const Error& error) {
    log::debug("this host's rules are not read: {}", error.what());
  }
}

void check_firewall_ahead(const GatewayTarget& target, const std::vector<HostPort>& ports,
                          Deadline deadline) {
  if (target.net) return;
  if (::geteuid() != 0)
    throw Error(Errc::no_path, "whether this host's firewall lets containers in is not readable");
  std::vector<firewall::Drop> drops;
  try {
    drops = certain_drops(target, ports, deadline);
  } catch (const Error& error) {
    throw Error(Errc::no_path, fmt::format("this host's rules are not read: {}", error.what()));
  }
  if (!drops.empty()) throw Error(Errc::no_path, drops.front().what);
}

}  // namespace hostnet::exposer

namespace hostnet::relay {

std::vector<GatewaySocket> gateway_sockets(const exposer::GatewayTarget& target, std::size_t ports) {
  std::vector<GatewaySocket> out;
  for (std::size_t i = 0; i < ports; ++i) out.push_back({target.gateway, i});
  if (target.host_gateway && target.by_host_gateway)
    for (std::size_t i = 0; i < ports; ++i) out.push_back({*target.host_gateway, i});
  return out;
}

std::string holder_of(const exposer::GatewayTarget& target, Ipv4 address, const HostPort& port) {
  auto in_use = fmt::format("port {} is in use at {}", port.container, address.to_string());
  if (target.net) return in_use;
  try {
    for (const auto& one : netlink::listeners(port.container, port.protocol))
      if (one.serves(address) &&
          (one.device == 0 || one.device == static_cast<std::uint32_t>(target.ifindex)))
        return fmt::format("a service of uid {} listens on {}", one.uid, one.to_string());
  } catch (const Error&) {
    return in_use;
  }
  return in_use;
}

Error cannot_listen_at(const std::string& bridge, Ipv4 address, const HostPort& port, Answer answer,
                       const std::string& holder) {
  const auto where = fmt::format("{}:{}", address.to_string(), port.container);
  auto higher = port;
  higher.container =
      static_cast<std::uint16_t>(port.container + 8000);  // it is below 1024, if not by the sysctl
  switch (answer.error) {
    case EADDRINUSE:
      return {Errc::conflict,
              fmt::format("{}: {}, which containers reach as {}", port.to_string(), holder, where),
              "choose another container port (HOST:CONTAINER), or dial that service", EADDRINUSE};
    case EACCES:
      return {
          Errc::no_path,
          fmt::format("this user may not listen at port {} of this host, which is below "
                      "net.ipv4.ip_unprivileged_port_start",
                      port.container),
          fmt::format("choose a higher container port (HOST:CONTAINER), such as {}; or take the ssh path: "
                      "--via ssh",
                      higher.to_string()),
          EACCES};
    case EADDRNOTAVAIL:
    case ENODEV:
      return {Errc::no_path,
              fmt::format("{} is not an address of bridge {} any more", address.to_string(), bridge),
              "run the command again", answer.error};
    default:
      break;
  }
  if (answer.step == Step::device && answer.error == EPERM)
    return {Errc::no_path,
            fmt::format("this kernel (before 5.7) lets only root listen for bridge {} alone", bridge),
            "take the ssh path: --via ssh", EPERM};
  return {Errc::failure,
          fmt::format("cannot listen at {}: {}", where, std::strerror(answer.error)),
          {},
          answer.error};
}

Fd bind_at_gateway(const exposer::GatewayTarget& target, Ipv4 address, const HostPort& port,
                   Deadline deadline) {
  Answer answer;
  Fd socket;
  const auto door = door_of(port);
  if (target.net) {
    std::tie(answer, socket) = target.net->bind(address, door, target.bridge, deadline);
  } else {
    int made = -1;
    answer = make_bound_socket(door, address.network(), made, target.bridge.c_str());
    socket.reset(made);
  }
  if (answer.error == 0) return socket;
  const auto holder = answer.error == EADDRINUSE ? holder_of(target, address, port) : std::string();
  throw cannot_listen_at(target.bridge, address, port, answer, holder);
}

}  // namespace hostnet::relay
