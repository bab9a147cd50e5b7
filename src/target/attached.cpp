// Compares network namespace numbers and control groups, one container at a time.
#include "target/attached.hpp"

#include "core/file.hpp"
#include "engine/own_process.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

// Containers to check per network: if the first few are elsewhere, the others are too.
constexpr int kMostLooks = 4;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Empty if the kernel does not tell, as without CAP_NET_ADMIN.
std::vector<netlink::Address> addresses_at(netlink::Rtnl& rtnl, int netns, int ifindex) {
  try {
    return rtnl.addresses_elsewhere(netns, ifindex);
  } catch (const Error&) {
    return {};
  }
}

const engine::Endpoint* endpoint_on(const engine::Container& container, const engine::Network& network) {
  const auto found = std::ranges::find_if(container.endpoints, [&](const engine::Endpoint& endpoint) {
    return endpoint.address && (endpoint.network_id == network.id || endpoint.network == network.name ||
                                endpoint.network_id == network.name);
  });
  return found == container.endpoints.end() ? nullptr : &*found;
}

}  // namespace

bool names_another_container(std::string_view cgroups, std::string_view id, std::string_view own) {
  constexpr std::size_t length = 64;
  if (!id.empty() && cgroups.find(id) != std::string_view::npos) return false;
  std::size_t run = 0;
  for (std::size_t i = 0; i < cgroups.size(); ++i) {
    run = is_hex(cgroups[i]) ? run + 1 : 0;
    if (run == length && own.find(cgroups.substr(i + 1 - length, length)) == std::string_view::npos)
      return true;
  }
  return false;
}

Attached attached(netlink::Rtnl& rtnl, const engine::Container& container, int bridge, Ipv4 address) {
  const auto links = rtnl.links();
  const auto start = process_start_time(container.pid);
  const auto netns = rtnl.netns_of_process(container.pid);
  const auto cgroups = try_read_file(fmt::format("/proc/{}/cgroup", container.pid)).value_or("");
  const auto own_cgroups = try_read_file("/proc/self/cgroup").value_or("");
  // The process must not change during the checks; if /proc hides it, the kernel knows whether it exists.
  if (!netns.is_there || start != process_start_time(container.pid)) return Attached::unseen;
  if (!netns.number) return Attached::elsewhere;
  if (names_another_container(cgroups, container.id, own_cgroups)) return Attached::elsewhere;
  const bool here = std::ranges::any_of(links, [&](const netlink::Link& port) {
    if (port.master != bridge || port.kind != "veth" || port.peer_netns != netns.number) return false;
    const auto there = addresses_at(rtnl, *netns.number, port.peer);
    return there.empty() || netlink::has_address(there, address);
  });
  return here ? Attached::here : Attached::elsewhere;
}

std::optional<std::string> why_not_its_bridge(engine::Client& client, netlink::Rtnl& rtnl,
                                              const engine::Network& network, const netlink::Link& bridge,
                                              Deadline deadline) {
  int elsewhere = 0;
  for (const auto& id : network.containers) {
    try {
      const auto container = client.container(id, deadline);
      const auto* const endpoint = container.running ? endpoint_on(container, network) : nullptr;
      if (endpoint == nullptr) continue;
      if (attached(rtnl, container, bridge.ifindex, *endpoint->address) == Attached::here)
        return std::nullopt;
    } catch (const Error& error) {
      // The container may have stopped since the network was listed.
      if (error.code() != Errc::not_found && error.code() != Errc::conflict) throw;
      continue;
    }
    if (++elsewhere == kMostLooks) break;
  }
  if (engine::serves_from_here(client.address(), deadline)) return std::nullopt;
  const auto& socket = client.address().socket;
  if (elsewhere > 0)
    return fmt::format(
        "the containers of network {} are not on bridge {} of this network namespace: the engine at {} has "
        "another bridge of that name",
        network.name, bridge.name, socket);
  return fmt::format(
      "bridge {} is not confirmed to be that of network {}: no container runs on the network, and the "
      "process "
      "at {} is not confirmed to be an engine of this network namespace",
      bridge.name, network.name, socket);
}

}  // namespace hostnet::exposer
