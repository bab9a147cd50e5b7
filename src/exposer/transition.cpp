// The order of things.
#include "exposer/transition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace hostnet::exposer {
namespace {

using firewall::Door;
using firewall::Guard;
using state::Bridge;
using state::Holdings;

auto key_of(const Door& door) {
  return std::tuple(door.bridge, door.gateway, door.source, door.mac, door.protocol, door.listen, door.host);
}

bool has_same_doors(const state::Lease& a, const state::Lease& b) {
  return a.ifindex == b.ifindex && a.gateways == b.gateways && a.sources == b.sources && a.mac == b.mac &&
         a.ports == b.ports;
}

// Those leases of `before` that are not in `after`, or with other doors. The order of those that stay is the
// same in both as a rule; where it is not, a lease too many is no harm.
Holdings changed_leases(const Holdings& before, const Holdings& after) {
  const auto is_renamed = [&](const Bridge& bridge) {
    const auto* const now = after.bridge(bridge.ifindex);
    return now == nullptr || now->name != bridge.name;
  };
  if (std::ranges::any_of(before.bridges, is_renamed)) return before;
  Holdings changed;
  changed.bridges = before.bridges;
  auto next = after.leases.begin();
  for (const auto& lease : before.leases) {
    if (next != after.leases.end() && next->id == lease.id) {
      if (!has_same_doors(lease, *next)) changed.leases.push_back(lease);
      ++next;
    } else {
      changed.leases.push_back(lease);
    }
  }
  return changed;
}

std::vector<Door> closed_doors(const std::vector<Door>& candidates, const std::vector<Door>& after) {
  if (candidates.empty()) return {};
  std::set<decltype(key_of(Door{}))> closing;
  for (const auto& door : candidates) closing.insert(key_of(door));
  for (const auto& door : after) closing.erase(key_of(door));
  std::vector<Door> closed;
  for (const auto& door : candidates)
    if (closing.contains(key_of(door))) closed.push_back(door);
  return closed;
}

// A union per bridge, so that no gateway's INPUT accept is missing while either set of doors stands.
std::vector<Guard> both(const std::vector<Guard>& a, const std::vector<Guard>& b) {
  std::map<std::string, std::set<Ipv4>> merged;
  for (const auto& list : {a, b})
    for (const auto& guard : list) merged[guard.bridge].insert(guard.gateways.begin(), guard.gateways.end());
  std::vector<Guard> out;
  for (const auto& [bridge, gateways] : merged) out.push_back({bridge, {gateways.begin(), gateways.end()}});
  return out;
}

bool lets_in(const Door& door, const netlink::Flow& flow) {
  return flow.protocol == door.protocol && flow.destination == Endpoint{door.gateway, door.listen} &&
         flow.reply_source == Endpoint{firewall::kLoopback, door.host} &&
         (!door.source || *door.source == flow.source.address);
}

struct Describe {
  std::string operator()(const ApplyTable& step) const {
    return fmt::format("apply {} rules in table {}", step.plan.jumps.size() + step.plan.rules.size(),
                       to_string(step.plan.table));
  }
  std::string operator()(const CutFlows& step) const {
    return fmt::format("cut the connections through {} closed ports", step.closed.size());
  }
  std::string operator()(const SetRouteLocalnet& step) const {
    return fmt::format("set route_localnet={} on {}", step.on ? 1 : 0, step.bridge);
  }
};

}  // namespace

std::string describe(const Step& step) { return std::visit(Describe{}, step); }

std::vector<Guard> guards_of(const Holdings& holdings) {
  std::map<int, std::set<Ipv4>> gateways;
  for (const auto& lease : holdings.leases)
    gateways[lease.ifindex].insert(lease.gateways.begin(), lease.gateways.end());
  std::vector<Guard> guards;
  for (const auto& bridge : holdings.bridges) {
    const auto found = gateways.find(bridge.ifindex);
    if (found != gateways.end())
      guards.push_back({bridge.name, {found->second.begin(), found->second.end()}});
  }
  return guards;
}

std::vector<Door> doors_of(const Holdings& holdings) {
  std::vector<Door> doors;
  for (const auto& lease : holdings.leases) {
    const auto* const bridge = holdings.bridge(lease.ifindex);
    if (bridge == nullptr) continue;
    const auto add = [&](Ipv4 gateway, std::optional<Ipv4> source) {
      for (const auto& port : lease.ports)
        doors.push_back(
            {bridge->name, gateway, source, port.protocol, port.container, port.host, lease.id, lease.mac});
    };
    for (const auto gateway : lease.gateways) {
      if (lease.sources.empty()) add(gateway, std::nullopt);
      for (const auto source : lease.sources) add(gateway, source);
    }
  }
  return doors;
}

firewall::Ruleset ruleset_of(const Holdings& holdings) {
  return firewall::plan(guards_of(holdings), doors_of(holdings));
}

std::vector<Step> transition(const Holdings& before, const Holdings& after) {
  using firewall::Table;
  const auto guards_before = guards_of(before);
  const auto guards_after = guards_of(after);
  const auto guards_during = both(guards_before, guards_after);
  const auto doors_after = doors_of(after);
  const auto during = firewall::plan(guards_during, {});
  const auto last = firewall::plan(guards_after, doors_after);

  std::vector<Step> steps;
  // A pure tear-down finds its union standing already; anything else puts it up first.
  const bool shrinks = during.of(Table::filter) != last.of(Table::filter);
  const bool grows = during.of(Table::filter) != firewall::plan(guards_before, {}).of(Table::filter);
  if (grows || !shrinks)
    for (const auto table : {Table::raw, Table::mangle, Table::filter})
      steps.push_back(ApplyTable{during.of(table)});

  steps.push_back(ApplyTable{last.of(Table::nat)});
  if (auto closed = closed_doors(doors_of(changed_leases(before, after)), doors_after); !closed.empty())
    steps.push_back(CutFlows{std::move(closed), doors_after});

  for (const auto& bridge : after.bridges)
    steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, true});
  for (const auto& bridge : before.bridges)
    if (after.bridge(bridge.ifindex) == nullptr && !bridge.prior_route_localnet)
      steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, false});

  if (shrinks)
    for (const auto table : {Table::filter, Table::mangle, Table::raw})
      steps.push_back(ApplyTable{last.of(table)});
  return steps;
}

std::vector<netlink::Flow> flows_to_cut(const std::vector<netlink::Flow>& flows, const CutFlows& cut) {
  const auto any = [](const std::vector<Door>& doors, const netlink::Flow& flow) {
    return std::ranges::any_of(doors, [&](const Door& door) { return lets_in(door, flow); });
  };
  std::vector<netlink::Flow> out;
  for (const auto& flow : flows)
    if (any(cut.closed, flow) && !any(cut.open, flow)) out.push_back(flow);
  return out;
}

}  // namespace hostnet::exposer
