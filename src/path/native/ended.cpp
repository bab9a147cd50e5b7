// Finds the leases that ended, with their causes.
#include "path/native/ended.hpp"

#include "core/file.hpp"
#include "lease/owner.hpp"

#include <fmt/format.h>

#include <ctime>
#include <map>
#include <utility>

namespace hostnet::exposer {

using state::Snapshot;

namespace {

bool has_stopped(const state::Lease& lease) {
  return lease.served && process_start_time(lease.served->pid) != lease.served->start;
}

}  // namespace

std::vector<Ended> without_bridge(const Snapshot& held, netlink::Rtnl& rtnl) {
  std::vector<Ended> ended;
  for (const auto& bridge : held.bridges) {
    if (rtnl.link(bridge.ifindex)) continue;
    for (const auto& lease : held.leases)
      if (lease.ifindex == bridge.ifindex)
        ended.push_back({lease.id, Cause::bridge_gone, fmt::format("bridge {} is gone", bridge.name)});
  }
  return ended;
}

std::vector<Ended> without_port(const Snapshot& held, netlink::Rtnl& rtnl) {
  std::vector<Ended> ended;
  std::map<std::pair<int, std::string>, bool> there;
  for (const auto& lease : held.leases) {
    if (lease.port.empty()) continue;
    const auto [found, fresh] = there.try_emplace({lease.ifindex, lease.port}, false);
    if (fresh) {
      const auto port = rtnl.link(lease.port);
      found->second = port && port->master == lease.ifindex;
    }
    if (found->second) continue;
    ended.push_back({lease.id, Cause::container_stopped,
                     has_stopped(lease) ? "its container has stopped" : "its container has left the bridge"});
  }
  return ended;
}

std::vector<Ended> without_owner(const Snapshot& held, const std::filesystem::path& folder,
                                 const std::set<std::string>& watched) {
  std::vector<Ended> ended;
  std::map<std::string, bool> alive;  // leases share owners
  const auto time = std::time(nullptr);
  for (const auto& lease : held.leases) {
    const auto [entry, fresh] = alive.try_emplace(lease.owner.token, true);
    if (fresh && !watched.contains(lease.id)) entry->second = state::is_alive(folder, lease.owner);
    if (lease.releasing) {
      ended.push_back({lease.id, Cause::interrupted, "its release was interrupted"});
    } else if (!entry->second) {
      ended.push_back({lease.id, Cause::owner_gone, "its owner is gone"});
    } else if (lease.expires && *lease.expires <= time) {
      ended.push_back({lease.id, Cause::expired, "its time is up"});
    }
  }
  return ended;
}

std::set<std::string> of_stopped_containers(const Snapshot& held, const std::set<std::string>& ours) {
  std::set<std::string> stopped;
  for (const auto& lease : held.leases) {
    if (ours.contains(lease.id) && has_stopped(lease)) stopped.insert(lease.id);
  }
  return stopped;
}

}  // namespace hostnet::exposer
