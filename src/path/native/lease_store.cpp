// Read access to the leases, and the operations that need no lock.
#include "path/native/lease_store.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace hostnet::exposer {

using state::Snapshot;

LeaseStore::LeaseStore(const std::filesystem::path& runtime_dir, Firewall firewall)
    : firewall_(firewall), file_(state::namespace_dir(runtime_dir)) {}

Transaction LeaseStore::begin(Deadline deadline) { return {*this, deadline}; }

bool LeaseStore::has_news() {
  file_.read();
  return std::exchange(news_, file_.news()) != file_.news();
}

Snapshot LeaseStore::look() {
  auto snapshot = file_.read();
  if (!snapshot.leases.empty()) executor_.use(snapshot.firewall);
  // Rules match by name and leases by ifindex, so update the names.
  for (auto& bridge : snapshot.bridges)
    if (const auto link = executor_.rtnl().link(bridge.ifindex)) bridge.name = link->name;
  return snapshot;
}

firewall::FirewallChoice LeaseStore::firewall_for(const Snapshot& held) const {
  const auto wish = firewall::wish(firewall_);
  if (held.leases.empty()) return firewall::choose(wish);
  if (wish != Firewall::automatic && wish != held.firewall)
    throw Error(Errc::conflict,
                fmt::format("leases are held whose rules stand in {}; all leases must use the same firewall",
                            to_string(held.firewall)),
                fmt::format("leave out --firewall {}, or first: tc-hostnet release --all", to_string(wish)));
  return firewall_of_leases(held.firewall);
}

firewall::FirewallChoice firewall_of_leases(Firewall kind) {
  return {kind, "the rules of the current leases are there"};
}

// Records in the lease why the firewall cannot hold bindings.
void LeaseStore::settle_binding(state::Lease& lease) {
  if (!lease.sources.empty() && !lease.port.empty() && lease.unpinned.empty())
    lease.unpinned = executor_.backend().binding_fault();
}

void LeaseStore::close(const Snapshot& held) {
  std::vector<Step> steps;
  for (const auto& bridge : held.bridges)
    if (!bridge.prior_route_localnet)
      steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, false, true});
  executor_.run(steps, Deadline::never());
}

std::vector<std::string> LeaseStore::rescue(Deadline deadline) {
  const state::Journal journal(file_, deadline);
  journal.set_aside();
  const auto bridges = firewall::guarded_bridges();
  Snapshot found;
  for (const auto& name : bridges) {
    const auto link = executor_.rtnl().link(name);
    if (!link) continue;
    found.bridges.push_back({.ifindex = link->ifindex, .name = name, .prior_route_localnet = false});
    // A lease on the bridge makes transition() include the existing guard; it has no forwards.
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

void LeaseStore::take_away(const Snapshot& found, Deadline deadline) {
  Failures failures;
  for (const auto kind : firewall::in_use()) {
    executor_.use(kind);
    failures.add(executor_.lead_all(found, {}, deadline));
  }
  failures.raise();
}

}  // namespace hostnet::exposer
