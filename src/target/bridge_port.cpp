// Finds a container's bridge port by the other ends of the bridge's veth pairs.
#include "target/bridge_port.hpp"

#include "hostnet/error.hpp"
#include "target/interface_name.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>

namespace hostnet::exposer {
namespace {

// The kernel allows names that a rule, or a reader, would misread.
std::string name_of(const netlink::Link& port) {
  return interface_name_fault(port.name) ? fmt::format("number {}", port.ifindex) : port.name;
}

// The addresses behind one bridge port; nullopt if the kernel does not tell.
std::optional<std::vector<netlink::Address>> addresses_behind(netlink::Rtnl& rtnl,
                                                              const netlink::Link& port) {
  if (port.kind != "veth") return std::nullopt;
  if (port.peer_netns) return rtnl.addresses_elsewhere(*port.peer_netns, port.peer);
  if (port.peer_elsewhere) return std::nullopt;
  return rtnl.addresses(port.peer);
}

}  // namespace

PortFound bindable(const netlink::Link& port) {
  if (interface_name_fault(port.name))
    return {.fault =
                fmt::format("its bridge port, {}, has a name that cannot be used in a rule", name_of(port))};
  return {.name = port.name};
}

PortFound bridge_port_of(netlink::Rtnl& rtnl, pid_t pid, int bridge, Ipv4 address) try {
  const auto links = rtnl.links();
  const auto netns = rtnl.netns_of_process(pid).number;
  for (const auto& port : links) {
    if (!netns || port.master != bridge || port.kind != "veth" || port.peer_netns != netns) continue;
    const auto there = rtnl.addresses_elsewhere(*netns, port.peer);
    if (netlink::has_address(there, address)) return bindable(port);
  }
  return {.fault = fmt::format("{} is not at the end of a veth pair whose other end is a port of the bridge",
                               address.to_string())};
} catch (const Error& error) {
  return {.fault = fmt::format("cannot see what is behind the ports of the bridge: {}", error.what())};
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
      unseen.fault = fmt::format("cannot see what is behind port {} of the bridge", name_of(port));
      continue;
    }
    for (const auto address : addresses) {
      if (!netlink::has_address(*there, address)) continue;
      const auto [holder, fresh] = holders.emplace(address, port);
      if (!fresh && holder->second.ifindex != port.ifindex)
        return {.fault = fmt::format("{} is behind two ports of the bridge, {} and {}", address.to_string(),
                                     name_of(holder->second), name_of(port)),
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
  return {.fault = fmt::format("cannot see which port of the bridge {} is behind: {}",
                               addresses.front().to_string(), error.what())};
}

}  // namespace hostnet::exposer
