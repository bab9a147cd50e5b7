// The host addresses that containers on a network may dial.
#include "hostnet/error.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>

namespace hostnet::exposer {

// First the network's own gateway, then the address of the engine's `host-gateway`, for every network.
std::vector<Ipv4> Resolver::gateways_of(const netlink::Link& bridge, std::optional<Ipv4> configured,
                                        const std::string& whose, Deadline deadline) {
  const auto own = rtnl_.addresses(bridge.ifindex);
  if (!configured && !own.empty()) configured = own.front().address;
  if (!configured)
    throw Error(
        Errc::no_path,
        fmt::format("{} has no IPv4 gateway: its containers have no address of the host to dial", whose),
        "use a network with a gateway, or take the ssh path: --via ssh");
  if (!netlink::has_address(own, *configured))
    throw Error(
        Errc::no_path,
        fmt::format("the gateway {} of {} is not an address of its bridge {}: another machine answers there",
                    configured->to_string(), whose, bridge.name),
        "use a network whose gateway is this host");
  std::vector<Ipv4> gateways{*configured};
  if (const auto host_gateway = client().host_gateway(deadline);
      host_gateway && host_gateway != configured && netlink::has_address(rtnl_.addresses(), *host_gateway))
    gateways.push_back(*host_gateway);
  return gateways;
}

}  // namespace hostnet::exposer
