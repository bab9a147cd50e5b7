// Changes of what is held.
#include "path/native/lease_store.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/owner.hpp"
#include "path/native/names.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

namespace hostnet::exposer {
namespace {

using state::Lease;
using state::Snapshot;

constexpr std::chrono::milliseconds kAtOnce{1000};  // that a bridge may stand open without its guard

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<Ended> without_bridge(const Snapshot& snapshot, netlink::Rtnl& rtnl) {
  std::vector<Ended> ended;
  for (const auto& bridge : snapshot.bridges) {
    if (rtnl.link(bridge.ifindex)) continue;
    for (const auto& lease : snapshot.leases)
      if (lease.ifindex == bridge.ifindex)
        ended.push_back({lease.id, Cause::bridge_gone, fmt::format("bridge {} is gone", bridge.name)});
  }
  return ended;
}

// A lease that is pinned to a port of the bridge ends with the port: whoever it was for is on the bridge no
// more, or by another port. Its binding would keep the next one who gets the address from the gateway.
std::vector<Ended> without_port(const Snapshot& snapshot, netlink::Rtnl& rtnl) {
  std::vector<Ended> ended;
  std::map<std::pair<int, std::string>, bool> there;
  for (const auto& lease : snapshot.leases) {
    if (lease.port.empty()) continue;
    const auto [found, fresh] = there.try_emplace({lease.ifindex, lease.port}, false);
    if (fresh) {
      const auto port = rtnl.link(lease.port);
      found->second = port && port->master == lease.ifindex;
    }
    if (found->second) continue;
    const bool stopped = lease.served && process_start_time(lease.served->pid) != lease.served->start;
    ended.push_back({lease.id, Cause::container_stopped,
                     stopped ? "its container has stopped" : "its container has left the bridge"});
  }
  return ended;
}

std::vector<Ended> without_owner(const Snapshot& snapshot, const std::filesystem::path& folder,
                                 const std::set<std::string>& watched) {
  std::vector<Ended> ended;
  std::map<std::string, bool> alive;  // many leases share one owner
  const auto time = now();
  for (const auto& lease : snapshot.leases) {
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

std::set<std::string> ids_of(const std::vector<Ended>& ended) {
  std::set<std::string> ids;
  for (const auto& one : ended) ids.insert(one.lease);
  return ids;
}

}  // namespace

std::optional<Clash> find_clash(const std::vector<firewall::Forward>& standing,
                                const std::vector<firewall::Forward>& added) {
  const auto key = [](const firewall::Forward& forward) {
    return std::tuple(forward.bridge, forward.gateway, forward.source, forward.mac, forward.protocol,
                      forward.listen);
  };
  std::map<decltype(key(firewall::Forward{})), const firewall::Forward*> by_key;
  for (const auto& forward : standing) by_key.emplace(key(forward), &forward);
  for (const auto& forward : added) {
    const auto [found, fresh] = by_key.emplace(key(forward), &forward);
    if (!fresh && found->second->host != forward.host)
      return Clash{found->second->lease, forward, found->second->host};
  }
  return std::nullopt;
}

LeaseStore::LeaseStore(const std::filesystem::path& runtime_dir, Firewall firewall)
    : firewall_(firewall), file_(state::namespace_dir(runtime_dir)) {}

state::Journal LeaseStore::lock(Deadline deadline) { return {file_, deadline}; }

bool LeaseStore::has_news() {
  file_.read();
  return std::exchange(news_, file_.news()) != file_.news();
}

Snapshot LeaseStore::load(const state::Journal&) { return look(); }

Snapshot LeaseStore::look() {
  auto snapshot = file_.read();
  if (!snapshot.leases.empty()) executor_.use(snapshot.firewall);
  // Rules match by name, leases hold on to the interface: the names follow it.
  for (auto& bridge : snapshot.bridges)
    if (const auto link = executor_.rtnl().link(bridge.ifindex)) bridge.name = link->name;
  return snapshot;
}

std::vector<Ended> LeaseStore::reap(const state::Journal& journal, Snapshot& left, Deadline deadline,
                                    const std::function<std::set<std::string>()>& watched) {
  left = load(journal);
  auto ended = without_bridge(left, executor_.rtnl());
  if (ended.empty() && watched && all_watched_ == file_.news()) return ended;
  const auto ours = watched ? watched() : std::set<std::string>{};
  forget_watched();
  if (std::ranges::all_of(left.leases, [&](const Lease& lease) { return ours.contains(lease.id); }))
    all_watched_ = file_.news();
  for (auto&& more : {without_port(left, executor_.rtnl()), without_owner(left, folder(), ours)})
    ended.insert(ended.end(), more.begin(), more.end());
  std::set<std::string> known;  // the first reason counts
  std::erase_if(ended, [&](const Ended& one) { return !known.insert(one.lease).second; });
  if (ended.empty()) return ended;
  // What is tried again and again is said once.
  for (const auto& one : ended)
    if (!tried_.contains(one.lease)) log::info("lease {} ends: {}", one.lease, one.reason);
  tried_ = ids_of(ended);
  remove(journal, left, tried_, deadline);
  tried_.clear();
  return ended;
}

void LeaseStore::add(const state::Journal& journal, Snapshot& held, std::vector<Lease> leases,
                     std::span<const state::Bridge> bridges, Deadline deadline) {
  Snapshot wanted = held;
  wanted.firewall = firewall_for(held).kind;
  executor_.use(wanted.firewall);
  for (const auto& bridge : bridges) {
    if (wanted.bridge(bridge.ifindex) != nullptr) continue;
    wanted.bridges.push_back(bridge);
    // The caller looked before it had the lock: what was on then may have been on for a lease that has ended
    // since.
    if (const auto link = executor_.rtnl().link(bridge.ifindex))
      wanted.bridges.back().prior_route_localnet = link->route_localnet;
  }

  Ports ports;
  for (const auto& lease : leases)
    for (const auto& port : lease.ports) ports.emplace(port.container, port.protocol);
  const Snapshot added{wanted.bridges, leases};
  if (const auto clash = find_clash(forwards_of(held, ports), forwards_of(added)))
    throw Error(Errc::conflict,
                fmt::format("port {} of {} leads to host port {} already, by lease {}", clash->forward.listen,
                            clash->forward.bridge, clash->older_host, clash->older),
                fmt::format("choose another container port (HOST:CONTAINER), or: tc-hostnet release {}",
                            clash->older));

  for (auto& lease : leases) {
    settle_binding(lease);
    wanted.leases.push_back(lease);
  }
  journal.save(wanted);
  try {
    executor_.lead(held, wanted, deadline);
  } catch (const Error&) {
    std::set<std::string> ids;
    for (const auto& lease : leases) ids.insert(lease.id);
    try {
      // The deadline may be what failed; going back must not be cut short by it.
      remove(journal, wanted, ids, Deadline::after(std::chrono::seconds{10}));
    } catch (const Error& error) {
      log::error("taking back what was set up: {}", error.what());
    }
    held = std::move(wanted);
    throw;
  }
  held = std::move(wanted);
}

firewall::FirewallChoice LeaseStore::firewall_for(const Snapshot& held) const {
  const auto wish = firewall::wish(firewall_);
  if (held.leases.empty()) return firewall::choose(wish);
  if (wish != Firewall::automatic && wish != held.firewall)
    throw Error(Errc::conflict,
                fmt::format("leases are held whose rules stand in {}, and all must stand in one firewall",
                            to_string(held.firewall)),
                fmt::format("leave out --firewall {}, or first: tc-hostnet release --all", to_string(wish)));
  return firewall_of_leases(held.firewall);
}

firewall::FirewallChoice firewall_of_leases(Firewall kind) {
  return {kind, "the rules of the leases that are held stand there"};
}

// Where no bindings can stand, the lease says so.
void LeaseStore::settle_binding(Lease& lease) {
  if (!lease.sources.empty() && !lease.port.empty() && lease.unpinned.empty())
    lease.unpinned = executor_.backend().binding_fault();
}

void LeaseStore::amend(const state::Journal& journal, Snapshot& held, const Lease& lease, Deadline deadline) {
  const auto* const present = held.lease(lease.id);
  if (present == nullptr || present->releasing)
    throw Error(Errc::not_found, fmt::format("lease {} is held no more", lease.id));
  Snapshot wanted = held;
  auto settled = lease;
  settle_binding(settled);
  wanted.leases.replace(settled);
  journal.save(wanted);
  executor_.lead(held, wanted, deadline);
  held = std::move(wanted);
}

void LeaseStore::remove(const state::Journal& journal, Snapshot& held, const std::set<std::string>& leases,
                        Deadline deadline) {
  Snapshot marked = held;
  Snapshot wanted = held;
  wanted.leases.erase_if([&](const Lease& lease) { return leases.contains(lease.id); });
  wanted.drop_idle_bridges();
  if (wanted.leases.size() == held.leases.size()) return;
  marked.leases.change_if([&](const Lease& lease) { return leases.contains(lease.id); },
                          [](Lease& lease) { lease.releasing = true; });
  const auto watched = std::exchange(all_watched_, std::nullopt);  // until none is left half released
  journal.save(marked);

  const auto failures = executor_.lead_all(held, wanted, deadline);
  if (!failures.empty()) {
    held = std::move(marked);
    failures.raise("release", "mend the cause, then: tc-hostnet release --all");
  }
  for (const auto& lease : held.leases)
    if (leases.contains(lease.id)) std::ranges::move(names_of(lease), std::back_inserter(wanted.names));
  if (wanted.names.size() > held.names.size()) new_names_ = true;
  journal.save(wanted);
  // Whoever has the descriptor may keep it for long; the file is not to stay for that.
  for (const auto& lease : marked.leases)
    if (lease.releasing && lease.owner.lifetime != state::Lifetime::process)
      state::remove_owner_file(folder(), lease.owner.token);
  all_watched_ = watched;
  held = std::move(wanted);
}

void LeaseStore::settle(const state::Journal& journal, Snapshot& held, std::vector<state::NameLeft> left) {
  if (held.names == left) return;
  held.names = std::move(left);
  journal.save(held);
}

bool LeaseStore::repair(const Snapshot& held, Deadline deadline) {
  try {
    return executor_.lead(held, held, Deadline::after(std::min(kAtOnce, deadline.remaining())));
  } catch (const Error& error) {
    log::warn("{}; route_localnet is off until all is put back", error.what());
  }
  close(held);
  executor_.lead(held, held, deadline);
  return true;
}

void LeaseStore::close(const Snapshot& held) {
  std::vector<Step> steps;
  for (const auto& bridge : held.bridges)
    if (!bridge.prior_route_localnet)
      steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, false, true});
  executor_.run(steps, Deadline::never());
}

std::vector<std::string> LeaseStore::rescue(const state::Journal& journal, Deadline deadline) {
  journal.set_aside();
  const auto bridges = firewall::guarded_bridges();
  Snapshot found;
  for (const auto& name : bridges) {
    const auto link = executor_.rtnl().link(name);
    if (!link) continue;
    found.bridges.push_back({.ifindex = link->ifindex, .name = name, .prior_route_localnet = false});
    // A lease on it makes transition() see the guard that stands; it has no forwards to speak of.
    found.leases.push_back({.id = "0", .ifindex = link->ifindex});
  }
  take_away(found, deadline);
  return bridges;
}

Leftovers LeaseStore::leftovers(const Snapshot& held) {
  Leftovers found;
  for (const auto& name : firewall::guarded_bridges()) {
    if (std::ranges::find(held.bridges, name, &state::Bridge::name) != held.bridges.end()) continue;
    const auto link = executor_.rtnl().link(name);
    (link && link->route_localnet ? found.needed : found.idle).push_back(name);
  }
  return found;
}

std::vector<std::string> LeaseStore::sweep(const state::Journal&, Deadline deadline) {
  auto needed = leftovers({}).needed;
  if (needed.empty()) take_away({}, deadline);
  return needed;
}

void LeaseStore::take_away(const Snapshot& found, Deadline deadline) {
  Failures failures;
  for (const auto kind : firewall::in_use()) {
    executor_.use(kind);
    failures.add(executor_.lead_all(found, {}, deadline));
  }
  failures.raise();
}

}  // namespace hostnet::exposer
