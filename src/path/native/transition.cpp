// The order of things.
#include "path/native/transition.hpp"

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
         a.port == b.port && a.unpinned == b.unpinned && a.ports == b.ports;
}

// What one has and the other has not, or with other doors; a lease too many in both is no harm.
struct Difference {
  Holdings gone;  // with the bridges of before
  Holdings come;  // with those of after
};

Difference difference(const Holdings& before, const Holdings& after) {
  const auto is_renamed = [&](const Bridge& bridge) {
    const auto* const now = after.bridge(bridge.ifindex);
    return now == nullptr || now->name != bridge.name;
  };
  if (std::ranges::any_of(before.bridges, is_renamed)) return {before, after};
  Difference out{{before.bridges, {}}, {after.bridges, {}}};
  const auto gone = [&](const state::Lease& lease) { out.gone.leases.push_back(lease); };
  const auto come = [&](const state::Lease& lease) { out.come.leases.push_back(lease); };
  const auto changed = [&](const state::Lease& was, const state::Lease& is) {
    if (has_same_doors(was, is)) return;
    gone(was);
    come(is);
  };
  state::LeaseList::compare(before.leases, after.leases, changed, gone, come);
  return out;
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

bool is_pinned(const state::Lease& lease) { return !lease.port.empty() && lease.unpinned.empty(); }

bool lets_in(const Door& door, const netlink::Flow& flow) {
  return flow.protocol == door.protocol && flow.destination == Endpoint{door.gateway, door.listen} &&
         flow.reply_source == Endpoint{firewall::kLoopback, door.host} &&
         (!door.source || *door.source == flow.source.address);
}

// Those of the lease's ports of which `wanted` is true.
template <class Wanted>
void add_doors(const Holdings& holdings, const state::Lease& lease, Wanted wanted, std::vector<Door>& doors) {
  const auto* const bridge = holdings.bridge(lease.ifindex);
  if (bridge == nullptr) return;
  const auto add = [&](Ipv4 gateway, std::optional<Ipv4> source) {
    for (const auto& port : lease.ports)
      if (wanted(port))
        doors.push_back(
            {bridge->name, gateway, source, port.protocol, port.container, port.host, lease.id, lease.mac});
  };
  for (const auto gateway : lease.gateways) {
    if (lease.sources.empty()) add(gateway, std::nullopt);
    for (const auto source : lease.sources) add(gateway, source);
  }
}

// Whether another lease needs all of the guard that this one does.
bool is_guarded_anyway(const state::Lease& lease, const Holdings& others) {
  return std::ranges::any_of(others.leases, [&](const state::Lease& other) {
    return other.ifindex == lease.ifindex && std::ranges::all_of(lease.gateways, [&](Ipv4 gateway) {
             return std::ranges::find(other.gateways, gateway) != other.gateways.end();
           });
  });
}

struct Describe {
  std::string operator()(const ApplyTable& step) const {
    return fmt::format("apply {} rules in table {}", step.plan.jumps.size() + step.plan.rules.size(),
                       to_string(step.plan.table));
  }
  std::string operator()(const ApplyPins& step) const {
    if (step.plan.empty()) return "leave no address pinned";
    return fmt::format("pin {} addresses to their ports of the bridge", step.plan.pins.size());
  }
  std::string operator()(const ChangeDoors& step) const {
    return fmt::format("change {} of the rules in table nat",
                       std::max(step.from.rules.size(), step.to.rules.size()));
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

firewall::PinPlan pins_of(const Holdings& holdings) {
  firewall::PinPlan plan;
  for (const auto& lease : holdings.leases) {
    if (!is_pinned(lease)) continue;
    for (const auto source : lease.sources) plan.pins.emplace(source, lease.port);
    plan.gateways.insert(lease.gateways.begin(), lease.gateways.end());
  }
  return plan;
}

std::vector<Door> doors_of(const Holdings& holdings) {
  std::vector<Door> doors;
  for (const auto& lease : holdings.leases)
    add_doors(
        holdings, lease, [](const HostPort&) { return true; }, doors);
  return doors;
}

std::vector<Door> doors_of(const Holdings& holdings, const Ports& ports) {
  std::vector<std::uint16_t> numbers;
  for (const auto& [number, protocol] : ports) numbers.push_back(number);
  std::vector<Door> doors;
  holdings.leases.visit_near(numbers, [&](const state::Lease& lease) {
    add_doors(
        holdings, lease,
        [&](const HostPort& port) {
          return ports.contains({port.container, port.protocol});
        },
        doors);
  });
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

  const auto pins_after = pins_of(after);
  const auto pins_before = pins_of(before);
  auto pins_during = pins_before;
  pins_during.merge(pins_after);

  std::vector<Step> steps;
  // A pure tear-down finds its union standing already; anything else puts it up first.
  const bool shrinks = during.of(Table::filter) != last.of(Table::filter);
  const bool grows = during.of(Table::filter) != firewall::plan(guards_before, {}).of(Table::filter);
  if (grows || !shrinks)
    for (const auto table : {Table::raw, Table::mangle, Table::filter})
      steps.push_back(ApplyTable{during.of(table)});

  const bool unpins = pins_during != pins_after;
  if (pins_during != pins_before || (!unpins && !pins_during.empty()))
    steps.push_back(ApplyPins{pins_during});
  steps.push_back(ApplyTable{last.of(Table::nat)});
  if (auto closed = closed_doors(doors_of(difference(before, after).gone), doors_after); !closed.empty())
    steps.push_back(CutFlows{std::move(closed), doors_after});

  for (const auto& bridge : after.bridges)
    steps.push_back(
        SetRouteLocalnet{bridge.ifindex, bridge.name, true, before.bridge(bridge.ifindex) != nullptr});
  for (const auto& bridge : before.bridges)
    if (after.bridge(bridge.ifindex) == nullptr && !bridge.prior_route_localnet)
      steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, false, true});

  // Also what is left of somebody's who did not know of them.
  if (unpins || pins_after.empty()) steps.push_back(ApplyPins{pins_after});
  if (shrinks)
    for (const auto table : {Table::filter, Table::mangle, Table::raw})
      steps.push_back(ApplyTable{last.of(table)});
  return steps;
}

std::optional<std::vector<Step>> small_transition(const Holdings& before, const Holdings& after) {
  if (before.bridges != after.bridges || before.firewall != after.firewall) return std::nullopt;
  const auto [gone, come] = difference(before, after);
  if (gone.leases.empty() && come.leases.empty()) return std::nullopt;
  const auto is_guarded_in = [](const Holdings& others) {
    return [&others](const state::Lease& lease) { return is_guarded_anyway(lease, others); };
  };
  if (!std::ranges::all_of(gone.leases, is_guarded_in(after)) ||
      !std::ranges::all_of(come.leases, is_guarded_in(before)))
    return std::nullopt;

  Ports ports;
  for (const auto& changed : {gone, come})
    for (const auto& lease : changed.leases)
      for (const auto& port : lease.ports) ports.emplace(port.container, port.protocol);
  const auto doors_before = doors_of(before, ports);
  const auto doors_after = doors_of(after, ports);
  std::vector<Step> steps;
  const bool unpins = std::ranges::any_of(gone.leases, is_pinned);
  const auto pins_after =
      unpins || std::ranges::any_of(come.leases, is_pinned) ? pins_of(after) : firewall::PinPlan();
  if (!pins_after.empty()) {
    auto during = pins_of(gone);
    during.merge(pins_after);
    steps.push_back(ApplyPins{std::move(during)});
  }
  steps.push_back(ChangeDoors{firewall::plan({}, doors_before).of(firewall::Table::nat),
                              firewall::plan({}, doors_after).of(firewall::Table::nat)});
  if (auto closed = closed_doors(doors_before, doors_after); !closed.empty())
    steps.push_back(CutFlows{std::move(closed), doors_after});
  if (unpins) steps.push_back(ApplyPins{pins_after});
  for (const auto& bridge : after.bridges)
    steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, true, true});
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
