// Looking targets up.
#include "target/resolve.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "target/attached.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <set>
#include <thread>

namespace hostnet::exposer {
namespace {

// Interfaces that lead to a container or a VM on this machine; any other kind may lead to another machine.
bool stays_on_host(const netlink::Link& port) {
  return port.kind == "veth" || port.kind == "tun" || port.kind == "dummy";
}

void push_unique(std::vector<Ipv4>& list, Ipv4 address) {
  if (std::ranges::find(list, address) == list.end()) list.push_back(address);
}

}  // namespace

std::optional<Attachment> find_attachment(netlink::Rtnl& rtnl, int netns_fd, std::optional<Ipv4> address) {
  auto inside = netlink::Rtnl::in_namespace(netns_fd);
  static_cast<void>(rtnl.links());  // gives the namespaces at the other ends their numbers
  const auto number = rtnl.netns_number(netns_fd);
  if (!number) return std::nullopt;
  for (const auto& link : inside.links()) {
    if (link.kind != "veth" || link.peer == 0) continue;
    auto port = rtnl.link(link.peer);
    // The index counts in the peer's namespace, which need not be ours. The one here points back, and into
    // that very namespace: eth0 has the same index in many.
    if (!port || port->kind != "veth" || port->peer != link.ifindex || port->peer_netns != number ||
        port->master == 0)
      continue;
    Attachment out{.port = std::move(*port), .addresses = {}};
    for (const auto& one : inside.addresses(link.ifindex)) push_unique(out.addresses, one.address);
    const bool wanted = !address || std::ranges::find(out.addresses, *address) != out.addresses.end();
    if (!out.addresses.empty() && wanted) return out;
  }
  return std::nullopt;
}

namespace {

// The kernel allows names that a rule, and a reader, would take for something else.
std::string name_of(const netlink::Link& port) {
  return interface_name_fault(port.name) ? fmt::format("number {}", port.ifindex) : port.name;
}

// Such a port is as good as unknown.
PortFound bindable(const netlink::Link& port) {
  if (interface_name_fault(port.name))
    return {.fault =
                fmt::format("its port of the bridge, {}, has a name that no rule can have", name_of(port))};
  return {.name = port.name};
}

// What is behind one port of a bridge; nullopt where the kernel does not tell.
std::optional<std::vector<netlink::Address>> addresses_behind(netlink::Rtnl& rtnl,
                                                              const netlink::Link& port) {
  if (port.kind != "veth") return std::nullopt;
  if (port.peer_netns) return rtnl.addresses_elsewhere(*port.peer_netns, port.peer);
  if (port.peer_elsewhere) return std::nullopt;
  return rtnl.addresses(port.peer);
}

}  // namespace

PortFound bridge_port_of(netlink::Rtnl& rtnl, pid_t pid, int bridge, Ipv4 address) try {
  const auto links = rtnl.links();
  const auto netns = rtnl.netns_of_process(pid).number;
  for (const auto& port : links) {
    if (!netns || port.master != bridge || port.kind != "veth" || port.peer_netns != netns) continue;
    const auto there = rtnl.addresses_elsewhere(*netns, port.peer);
    if (std::ranges::find(there, address, &netlink::Address::address) != there.end()) return bindable(port);
  }
  return {.fault = fmt::format("{} is not at the end of a veth pair whose other end is a port of the bridge",
                               address.to_string())};
} catch (const Error& error) {
  return {.fault = fmt::format("what is behind the ports of the bridge cannot be seen: {}", error.what())};
}

PortFound bridge_port_holding(netlink::Rtnl& rtnl, int bridge, const std::vector<Ipv4>& addresses) try {
  if (addresses.empty()) return {};
  std::map<Ipv4, netlink::Link> holders;
  std::set<int> ports;
  PortFound unseen;
  for (const auto& port : rtnl.links()) {
    if (port.master != bridge) continue;
    const auto there = addresses_behind(rtnl, port);
    if (!there) {
      unseen.fault = fmt::format("what is behind port {} of the bridge cannot be seen", name_of(port));
      continue;
    }
    for (const auto address : addresses) {
      if (std::ranges::find(*there, address, &netlink::Address::address) == there->end()) continue;
      const auto [holder, fresh] = holders.emplace(address, port);
      if (!fresh && holder->second.ifindex != port.ifindex)
        return {.fault = fmt::format("{} is behind port {} of the bridge as well as behind {}",
                                     address.to_string(), name_of(holder->second), name_of(port)),
                .contested = true};
      ports.insert(port.ifindex);
    }
  }
  for (const auto address : addresses)
    if (!holders.contains(address))
      return {.fault = fmt::format("{} is behind no port of the bridge", address.to_string())};
  if (ports.size() > 1) return {.fault = "its addresses are behind several ports of the bridge"};
  if (!unseen.fault.empty()) return unseen;
  return bindable(holders.begin()->second);
} catch (const Error& error) {
  return {.fault = fmt::format("behind which port of the bridge {} is cannot be seen: {}",
                               addresses.front().to_string(), error.what())};
}

std::optional<std::string> interface_name_fault(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() >= IFNAMSIZ) return fmt::format("it is longer than {} characters", IFNAMSIZ - 1);
  if (name == "." || name == ".." || name.front() == '-') return "no interface is called that";
  const auto odd = std::ranges::find_if_not(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:@").find(c) != std::string_view::npos;
  });
  if (odd != name.end()) return fmt::format("it holds the character {}", quote(std::string_view(&*odd, 1)));
  return std::nullopt;
}

const engine::Endpoint* primary_endpoint(const engine::Container& container,
                                         std::optional<Ipv4> default_gateway) {
  const engine::Endpoint* first = nullptr;
  for (const auto& endpoint : container.endpoints) {
    if (!endpoint.address) continue;
    if (default_gateway && endpoint.gateway == default_gateway) return &endpoint;
    if (first == nullptr) first = &endpoint;
  }
  return first;
}

std::optional<Ipv4> default_gateway(std::string_view proc_net_route) {
  for (const auto line : split(proc_net_route, '\n')) {
    const auto fields = split(line, '\t');
    if (fields.size() < 3 || fields[1] != "00000000") continue;
    std::uint32_t network_order = 0;
    const auto hex = trim(fields[2]);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), network_order, 16);
    if (error == std::errc{} && end == hex.data() + hex.size() && network_order != 0)
      return Ipv4::from_network(network_order);
  }
  return std::nullopt;
}

const engine::Endpoint& endpoint_of(const engine::Container& container, bool local) {
  const auto route =
      local ? try_read_file(fmt::format("/proc/{}/net/route", container.pid)).value_or("") : std::string();
  const auto* const endpoint = primary_endpoint(container, default_gateway(route));
  if (endpoint == nullptr)
    throw Error(
        Errc::not_found, fmt::format("container {} has no IPv4 address on any network", container.name),
        "connect it to a bridge network: docker network connect NETWORK " + shell_word(container.name));
  return *endpoint;
}

bool runs_rootless(engine::Client& client, Deadline deadline) {
  // Only one that somebody else than root started can be rootless, which spares the others the question.
  return !client.is_roots(deadline) && client.is_rootless(deadline);
}

void check_network_mode(engine::Client& client, const engine::Container& container, Deadline deadline) {
  const auto elsewhere = [&] {
    if (client.address().tcp) return true;
    // Podman's is the machine's also where it runs rootless; Docker's is RootlessKit's.
    if (runs_rootless(client, deadline)) return !client.is_podman(deadline);
    return client.why_remote(deadline).has_value();
  };
  const bool own_loopback = container.network_mode == "host" && elsewhere();
  check_network_mode(container, own_loopback);
}

void check_network_mode(const engine::Container& container, bool own_loopback) {
  const auto refuse = [&](std::string_view why, std::string_view hint) {
    throw Error(Errc::invalid_argument, fmt::format("container {} {}", container.name, why),
                std::string(hint));
  };
  if (container.network_mode == "host" && own_loopback)
    refuse("uses the network of its engine's host, whose 127.0.0.1 is not known to be this one",
           "start it on a bridge network: --network bridge");
  if (container.network_mode == "host")
    refuse("uses the host's network: it reaches 127.0.0.1 as it is", "dial 127.0.0.1 in the container");
  if (container.network_mode == "none") refuse("has no network", "start it on a network: --network bridge");
  if (container.network_mode.starts_with("container:"))
    refuse(fmt::format("shares the network of container {}",
                       quote(container.network_mode.substr(std::string_view("container:").size()))),
           "expose to that container instead");
  for (const std::string_view user_mode : {"slirp4netns", "pasta"})
    if (container.network_mode.starts_with(user_mode))
      refuse(
          fmt::format("is on {}, as rootless containers are by default: there is no bridge, and nobody else "
                      "can be on that network",
                      user_mode),
          "start it on a bridge network: podman network create web && podman run --network web …");
}

Resolved Resolver::resolve(const Target& target, bool with_alias, bool force, Deadline deadline) {
  switch (target.kind()) {
    case Target::Kind::bridge:
      return bridge(target.name(), force);
    case Target::Kind::network:
      return network(target.name(), with_alias, force, deadline);
    case Target::Kind::container:
      return container(target.name(), with_alias, force, deadline);
    case Target::Kind::netns:
      return netns(target.name(), force);
  }
  throw Error(Errc::invalid_argument, "a target of no known kind");
}

engine::Client& Resolver::client() {
  if (!client_) client_.emplace(engine::Address::find(engine_));
  return *client_;
}

// What hangs on a bridge with a physical port is the local network, not a set of containers.
void Resolver::check_ports_of(const netlink::Link& bridge, bool force) {
  if (force) return;
  for (const auto& port : rtnl_.links())
    if (port.master == bridge.ifindex && !stays_on_host(port))
      throw Error(
          Errc::invalid_argument,
          fmt::format("bridge {} leads out of this machine by its port {}: other machines would reach the "
                      "exposed ports",
                      bridge.name, port.name),
          "if that is meant, add --force");
}

Resolved Resolver::bridge(const std::string& name, bool force) {
  if (const auto fault = interface_name_fault(name))
    throw Error(Errc::invalid_argument, fmt::format("{} is not an interface name: {}", quote(name), *fault),
                "see the bridges: ip link show type bridge");
  auto link = rtnl_.link(name);
  if (!link)
    throw Error(Errc::not_found, fmt::format("there is no interface {}", name),
                "see the bridges: ip link show type bridge");
  if (link->kind != "bridge")
    throw Error(
        Errc::invalid_argument,
        fmt::format("{} is not a bridge but {}", name,
                    link->kind.empty() ? "a physical or loopback interface" : "of kind " + link->kind),
        "see the bridges: ip link show type bridge");
  check_ports_of(*link, force);
  Resolved out{.bridge = std::move(*link)};
  for (const auto& address : rtnl_.addresses(out.bridge.ifindex)) push_unique(out.gateways, address.address);
  if (out.gateways.empty())
    throw Error(Errc::not_found,
                fmt::format("bridge {} has no IPv4 address: its containers have no gateway to dial", name),
                fmt::format("give it one, for example: ip address add 192.0.2.1/24 dev {}", name));
  return out;
}

// An engine on the network names bridges of its own machine. Here the same names and gateways (docker0 with
// 172.17.0.1, say) may be those of another engine, whose containers would then be let in. Nor is one at a
// loopback address known to be here: a tunnel may begin there. And one at a socket that another user can put
// in its place would choose, by the processes and paths that it names, what root does.
void Resolver::refuse_remote(const std::string& whose, Deadline deadline) {
  const auto& address = client().address();
  if (!address.tcp && runs_rootless(client(), deadline))
    throw Error(
        Errc::no_path,
        fmt::format("{} is of an engine that runs rootless: its bridges are in a network namespace of "
                    "its own",
                    whose),
        "take the ssh path: --via ssh");
  const auto why = client().why_remote(deadline);
  if (!why) return;
  throw Error(Errc::no_path,
              fmt::format("{} is of the engine at {}, {}: {}", whose, address.socket, *why,
                          address.tcp ? "its bridges may be elsewhere"
                                      : "what it says of this machine is not acted upon"),
              "take the ssh path: --via ssh; or give the socket of an engine of this machine: --engine "
              "unix:///run/docker.sock");
}

netlink::Link Resolver::local_bridge(const std::string& name, const std::string& whose, Deadline deadline) {
  if (const auto fault = interface_name_fault(name))
    throw Error(Errc::no_path,
                fmt::format("the engine calls the bridge of {} {}, which is no interface name: {}", whose,
                            quote(name), *fault),
                "take the ssh path: --via ssh");
  auto link = rtnl_.link(name);
  if (link && link->kind == "bridge") return std::move(*link);
  if (!link && client().version(deadline).is_podman())
    throw Error(
        Errc::no_path,
        fmt::format(
            "bridge {} of {} is not in this network namespace: Podman makes it with the first container, "
            "or runs in a VM",
            quote(name), whose),
        "start a container on the network first");
  throw Error(
      Errc::no_path,
      fmt::format(
          "bridge {} of {} is not in this network namespace: the engine runs in a VM or in a container",
          quote(name), whose),
      "run tc-hostnet where the engine's bridges are");
}

// The network's own gateway first, then the address to which the engine resolves `host-gateway`, whatever
// network the container is on.
std::vector<Ipv4> Resolver::gateways_of(const netlink::Link& bridge, std::optional<Ipv4> configured,
                                        const std::string& whose, Deadline deadline) {
  const auto own = rtnl_.addresses(bridge.ifindex);
  const auto owns = [&](Ipv4 address) {
    return std::ranges::find(own, address, &netlink::Address::address) != own.end();
  };
  if (!configured && !own.empty()) configured = own.front().address;
  if (!configured)
    throw Error(
        Errc::not_found,
        fmt::format("{} has no IPv4 gateway: its containers have no address of the host to dial", whose),
        "use a network with a gateway");
  if (!owns(*configured))
    throw Error(
        Errc::no_path,
        fmt::format("the gateway {} of {} is not an address of its bridge {}: another machine answers there",
                    configured->to_string(), whose, bridge.name),
        "use a network whose gateway is this host");
  std::vector<Ipv4> gateways{*configured};
  if (const auto host_gateway = client().host_gateway(deadline)) {
    const auto all = rtnl_.addresses();
    if (std::ranges::find(all, *host_gateway, &netlink::Address::address) != all.end())
      push_unique(gateways, *host_gateway);
  }
  return gateways;
}

Resolver::OnBridge Resolver::on_bridge(const std::string& name, bool force, Deadline deadline) {
  auto network = client().network(name, deadline);
  const auto whose = fmt::format("network {}", network.name);
  if (network.driver != "bridge")
    throw Error(Errc::invalid_argument,
                fmt::format("{} is of driver {}, not a bridge network", whose, quote(network.driver)),
                "use a bridge network: docker network create NAME");
  refuse_remote(whose, deadline);
  Resolved out{.bridge = local_bridge(network.bridge, whose, deadline)};
  check_ports_of(out.bridge, force);
  out.gateways = gateways_of(out.bridge, network.gateway, whose, deadline);
  return {std::move(network), std::move(out)};
}

Resolved Resolver::network(const std::string& name, bool with_alias, bool force, Deadline deadline) {
  auto [network, out] = on_bridge(name, force, deadline);
  if (const auto why = why_not_its_bridge(client(), rtnl_, network, out.bridge, deadline))
    throw Error(Errc::no_path, *why,
                "start a container on the network first; or take the ssh path: --via ssh");
  if (!with_alias) return std::move(out);
  for (const auto& id : network.containers) {
    try {
      out.aliases.push_back(engine::alias_record(client().container(id, deadline)));
    } catch (const Error& error) {
      // It may have stopped since the network was listed.
      if (error.code() == Errc::timed_out)
        log::warn("{} is not written into container {}: {}", kAlias, id.substr(0, 12), error.what());
      else if (error.code() != Errc::not_found && error.code() != Errc::conflict)
        throw;
    }
  }
  return std::move(out);
}

namespace {

Error not_running(const engine::Container& container) {
  return {Errc::not_found, fmt::format("container {} is not running", container.name),
          fmt::format("start it: docker start {}", shell_word(container.name))};
}

// Of one whose process is not there: its end is the kernel's first, and its engine's a moment later.
bool has_ended(engine::Client& client, const engine::Container& container, Deadline deadline) {
  constexpr std::chrono::milliseconds pause{50};
  for (int left = 10; left > 0; --left) {
    const auto now = client.container(container.id, deadline);
    if (!now.running || now.pid != container.pid) return true;
    std::this_thread::sleep_for(pause);
  }
  return false;
}

}  // namespace

Resolved Resolver::container(const std::string& name, bool with_alias, bool force, Deadline deadline) {
  const auto container = client().container(name, deadline);
  check_network_mode(client(), container, deadline);
  if (!container.running || container.pid <= 0) throw not_running(container);
  refuse_remote(fmt::format("container {}", container.name), deadline);
  const auto& endpoint = endpoint_of(container, true);
  auto [network, out] =
      on_bridge(endpoint.network_id.empty() ? endpoint.network : endpoint.network_id, force, deadline);
  if (const auto where = attached(rtnl_, container, out.bridge.ifindex, *endpoint.address);
      where != Attached::here) {
    if (where == Attached::unseen && has_ended(client(), container, deadline)) throw not_running(container);
    throw Error(
        Errc::no_path,
        fmt::format("container {} is not seen on bridge {} of this network namespace: {}", container.name,
                    out.bridge.name,
                    where == Attached::unseen ? fmt::format("there is no process {} here", container.pid)
                                              : fmt::format("the engine at {} has another one of that name",
                                                            client().address().socket)),
        "run tc-hostnet where the engine's bridges and processes are, or take the ssh path: --via ssh");
  }
  out.sources = {*endpoint.address};
  if (with_alias) out.aliases = {engine::alias_record(container)};
  // Its bridge is here, so its processes are this machine's, unless pids are hidden from us.
  if (const auto start = process_start_time(container.pid))
    out.served = state::ProcessId{.pid = container.pid, .start = *start};
  else
    out.port.fault = fmt::format("its process {} cannot be seen from here", container.pid);
  if (out.served) out.port = bridge_port_of(rtnl_, container.pid, out.bridge.ifindex, *endpoint.address);
  return std::move(out);
}

Resolved Resolver::netns(const std::string& path, bool force) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int cause = errno;
    if (cause == ENOENT)
      throw Error(Errc::not_found, fmt::format("there is no network namespace {}", quote(path)),
                  "see them: ip netns list", cause);
    throw Error::from_errno(fmt::format("open {}", quote(path)), cause);
  }
  const auto attachment = find_attachment(rtnl_, fd.get());
  const auto master = attachment ? rtnl_.link(attachment->port.master) : std::nullopt;
  if (master) {
    auto out = bridge(master->name, force);
    out.sources = attachment->addresses;
    out.port = bindable(attachment->port);
    return out;
  }
  throw Error(
      Errc::not_found,
      fmt::format("netns {} does not hang on a bridge of this namespace by a veth pair with an IPv4 address",
                  quote(path)),
      "name its bridge instead: --bridge IF");
}

}  // namespace hostnet::exposer
