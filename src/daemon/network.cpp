// Looks at a bridge and judges it.
#include "daemon/network.hpp"

#include "core/strings.hpp"
#include "daemon/config.hpp"
#include "hostnet/error.hpp"
#include "target/interface_name.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

namespace hostnet::daemon {
namespace {

[[noreturn]] void refuse(std::string why, std::string hint = {}) {
  throw Error(Errc::not_found, std::move(why), std::move(hint));
}

bool is_among(Ipv4 address, const std::vector<Ipv4>& list) {
  return std::ranges::find(list, address) != list.end();
}

}  // namespace

NetworkFacts look_at(netlink::Rtnl& rtnl, int ifindex) {
  NetworkFacts facts;
  facts.link = rtnl.link(ifindex);
  if (!facts.link) return facts;
  std::vector<int> bridges;
  for (const auto& link : rtnl.links()) {
    if (link.master == ifindex && link.kind != "veth") facts.foreign_ports.push_back(link.name);
    if (link.kind == "bridge") bridges.push_back(link.ifindex);
  }
  for (const auto& address : rtnl.addresses()) {
    if (std::ranges::find(bridges, address.ifindex) != bridges.end())
      facts.bridge_addresses.push_back(address.address);
    if (address.ifindex != ifindex) continue;
    facts.addresses.push_back(address.address);
    facts.prefixes.push_back(address.prefix);
  }
  for (const auto& route : rtnl.routes())
    if (route.prefix == 0 && !route.local && route.ifindex == ifindex) facts.carries_default_route = true;
  return facts;
}

exposer::PortFound find_port(netlink::Rtnl& rtnl, const Request& request) {
  auto found = exposer::bridge_port_holding(rtnl, request.ifindex, request.sources);
  if (found.contested) refuse(found.fault, "remove the address from the container that should not have it");
  return found;
}

Network judge(const NetworkFacts& facts, const Request& request, const std::vector<std::string>& allowed) {
  if (!facts.link) refuse(fmt::format("there is no interface {}", request.ifindex));
  const auto& link = *facts.link;
  // The kernel allows names that a polkit prompt would show as markup.
  if (const auto fault = exposer::interface_name_fault(link.name))
    refuse(fmt::format("interface {} has an unacceptable name: {}", request.ifindex, *fault));
  if (!request.ifname.empty() && link.name != request.ifname)
    refuse(fmt::format("interface {} is {}, not {}: the caller may be in another network namespace",
                       request.ifindex, link.name, request.ifname));
  if (link.kind != "bridge") refuse(fmt::format("{} is not a bridge", link.name));
  if (std::ranges::none_of(allowed, [&](const auto& pattern) {
        return ::fnmatch(pattern.c_str(), link.name.c_str(), 0) == 0;
      }))
    refuse(fmt::format("{} is not among the bridges that may be exposed to: {}", link.name, list_of(allowed)),
           fmt::format("an administrator can add it: allow-interface in {}", kConfigFile));
  if (!facts.foreign_ports.empty())
    refuse(
        fmt::format("{} leads out of this machine by its port {}", link.name, facts.foreign_ports.front()));
  if (facts.carries_default_route) refuse(fmt::format("{} carries the default route", link.name));
  if (facts.addresses.empty()) refuse(fmt::format("{} has no IPv4 address", link.name));
  if (request.gateway && !is_among(*request.gateway, facts.addresses))
    refuse(fmt::format("{} is not an address of {}", request.gateway->to_string(), link.name));
  if (request.host_gateway && !is_among(*request.host_gateway, facts.bridge_addresses))
    refuse(fmt::format("{} is not an address of a bridge of this host", request.host_gateway->to_string()));
  for (const auto source : request.sources) {
    bool inside = false;
    for (std::size_t i = 0; i < facts.addresses.size(); ++i)
      inside = inside || contains(facts.addresses[i], facts.prefixes[i], source);
    if (!inside || is_among(source, facts.addresses))
      refuse(fmt::format("{} is not an address of a container on {}", source.to_string(), link.name));
  }
  Network network;
  network.ifindex = link.ifindex;
  network.interface = link.name;
  network.route_localnet = link.route_localnet;
  network.gateways = {request.gateway.value_or(facts.addresses.front())};
  if (request.host_gateway && *request.host_gateway != network.gateways.front())
    network.gateways.push_back(*request.host_gateway);
  return network;
}

}  // namespace hostnet::daemon
