// A bridge of this network namespace, named by the caller or by an engine as a network's bridge.
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "target/interface_name.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace hostnet::exposer {
namespace {

// Interfaces that lead to a container or a VM on this machine; any other kind may lead to another machine.
bool stays_on_host(const netlink::Link& port) {
  return port.kind == "veth" || port.kind == "tun" || port.kind == "dummy";
}

std::vector<std::string> bridges_of(const std::vector<netlink::Link>& links) {
  std::vector<std::string> names;
  for (const auto& link : links)
    if (link.kind == "bridge") names.push_back(link.name);
  return names;
}

}  // namespace

// A bridge with a physical port serves the local network, not only containers.
void Resolver::check_ports_of(const netlink::Link& bridge, bool force) {
  if (force) return;
  for (const auto& port : rtnl_.links())
    if (port.master == bridge.ifindex && !stays_on_host(port))
      throw Error(
          Errc::invalid_argument,
          fmt::format("bridge {} leads out of this machine by its port {}: other machines would reach the "
                      "exposed ports",
                      bridge.name, port.name),
          "if you want that, add --force");
}

Resolved Resolver::bridge(const std::string& name, bool force) {
  if (const auto fault = interface_name_fault(name))
    throw Error(Errc::invalid_argument, fmt::format("{} is not an interface name: {}", quote(name), *fault),
                "see the bridges: ip link show type bridge");
  auto link = rtnl_.link(name);
  if (!link) throw no_such("bridge", name, bridges_of(rtnl_.links()), "see them: ip link show type bridge");
  if (link->kind != "bridge")
    throw Error(
        Errc::invalid_argument,
        fmt::format("{} is not a bridge but {}", name,
                    link->kind.empty() ? "a physical or loopback interface" : "of kind " + link->kind),
        "see the bridges: ip link show type bridge");
  check_ports_of(*link, force);
  Resolved out{.bridge = std::move(*link)};
  out.gateways = netlink::distinct(rtnl_.addresses(out.bridge.ifindex));
  if (out.gateways.empty())
    throw Error(Errc::not_found,
                fmt::format("bridge {} has no IPv4 address: its containers have no gateway to dial", name),
                fmt::format("give it one, for example: ip address add 192.0.2.1/24 dev {}", name));
  return out;
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

}  // namespace hostnet::exposer
