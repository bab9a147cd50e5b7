// The order of the steps.
#include "path/native/transition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace hostnet::exposer {
namespace {

using firewall::Forward;
using firewall::Guard;
using state::Bridge;
using state::Snapshot;

auto key_of(const Forward& forward) {
  return std::tuple(forward.bridge, forward.gateway, forward.source, forward.mac, forward.protocol,
                    forward.listen, forward.host, forward.service);
}

bool has_same_forwards(const state::Lease& a, const state::Lease& b) {
  return a.ifindex == b.ifindex && a.gateways == b.gateways && a.sources == b.sources && a.mac == b.mac &&
         a.port == b.port && a.unpinned == b.unpinned && a.ports == b.ports;
}

// The leases that differ. A lease in both lists does no harm.
struct Difference {
  Snapshot gone;  // with the bridges before
  Snapshot come;  // with the bridges after
};

Difference difference(const Snapshot& before, const Snapshot& after) {
  const auto is_renamed = [&](const Bridge& bridge) {
    const auto* const now = after.bridge(bridge.ifindex);
    return now == nullptr || now->name != bridge.name;
  };
  if (std::ranges::any_of(before.bridges, is_renamed)) return {before, after};
  Difference out{{before.bridges, {}}, {after.bridges, {}}};
  const auto gone = [&](const state::Lease& lease) { out.gone.leases.push_back(lease); };
  const auto come = [&](const state::Lease& lease) { out.come.leases.push_back(lease); };
  const auto changed = [&](const state::Lease& was, const state::Lease& is) {
    if (has_same_forwards(was, is)) return;
    gone(was);
    come(is);
  };
  state::LeaseList::compare(before.leases, after.leases, changed, gone, come);
  return out;
}

std::vector<Forward> closed_forwards(const std::vector<Forward>& candidates,
                                     const std::vector<Forward>& after) {
  if (candidates.empty()) return {};
  std::set<decltype(key_of(Forward{}))> closing;
  for (const auto& forward : candidates) closing.insert(key_of(forward));
  for (const auto& forward : after) closing.erase(key_of(forward));
  std::vector<Forward> closed;
  for (const auto& forward : candidates)
    if (closing.contains(key_of(forward))) closed.push_back(forward);
  return closed;
}

// The union per bridge, so that each gateway has its INPUT accept while either set of forwards stands.
std::vector<Guard> both(const std::vector<Guard>& a, const std::vector<Guard>& b) {
  std::map<std::string, std::set<Ipv4>> merged;
  for (const auto& list : {a, b})
    for (const auto& guard : list) merged[guard.bridge].insert(guard.gateways.begin(), guard.gateways.end());
  std::vector<Guard> out;
  for (const auto& [bridge, gateways] : merged) out.push_back({bridge, {gateways.begin(), gateways.end()}});
  return out;
}

bool is_pinned(const state::Lease& lease) { return !lease.port.empty() && lease.unpinned.empty(); }

bool lets_in(const Forward& forward, const netlink::Flow& flow) {
  return flow.protocol == forward.protocol && flow.destination == Endpoint{forward.gateway, forward.listen} &&
         flow.reply_source == Endpoint{forward.service, forward.host} &&
         (!forward.source || *forward.source == flow.source.address);
}

// Adds the forwards of the lease's ports for which `wanted` is true.
template <class Wanted>
void add_forwards(const Snapshot& snapshot, const state::Lease& lease, Wanted wanted,
                  std::vector<Forward>& forwards) {
  const auto* const bridge = snapshot.bridge(lease.ifindex);
  if (bridge == nullptr) return;
  const auto add = [&](Ipv4 gateway, std::optional<Ipv4> source) {
    for (const auto& port : lease.ports)
      if (wanted(port))
        forwards.push_back({bridge->name, gateway, source, port.protocol, port.container, port.host, lease.id,
                            lease.mac, ipv4_of(port).value()});
  };
  for (const auto gateway : lease.gateways) {
    if (lease.sources.empty()) add(gateway, std::nullopt);
    for (const auto source : lease.sources) add(gateway, source);
  }
}

// Whether another lease needs every part of this lease's guard.
bool is_guarded_anyway(const state::Lease& lease, const Snapshot& others) {
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
  std::string operator()(const ApplyBindings& step) const {
    if (step.plan.empty()) return "remove all bindings";
    return fmt::format("bind {} addresses to their bridge ports", step.plan.bindings.size());
  }
  std::string operator()(const ChangeForwards& step) const {
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

std::vector<Guard> guards_of(const Snapshot& snapshot) {
  std::map<int, std::set<Ipv4>> gateways;
  for (const auto& lease : snapshot.leases)
    gateways[lease.ifindex].insert(lease.gateways.begin(), lease.gateways.end());
  std::vector<Guard> guards;
  for (const auto& bridge : snapshot.bridges) {
    const auto found = gateways.find(bridge.ifindex);
    if (found != gateways.end())
      guards.push_back({bridge.name, {found->second.begin(), found->second.end()}});
  }
  return guards;
}

firewall::BindingPlan bindings_of(const Snapshot& snapshot) {
  firewall::BindingPlan plan;
  for (const auto& lease : snapshot.leases) {
    if (!is_pinned(lease)) continue;
    for (const auto source : lease.sources) plan.bindings.emplace(source, lease.port);
    plan.gateways.insert(lease.gateways.begin(), lease.gateways.end());
  }
  return plan;
}

std::vector<Forward> forwards_of(const Snapshot& snapshot) {
  std::vector<Forward> forwards;
  for (const auto& lease : snapshot.leases)
    add_forwards(
        snapshot, lease, [](const HostPort&) { return true; }, forwards);
  return forwards;
}

std::vector<Forward> forwards_of(const Snapshot& snapshot, const Ports& ports) {
  std::vector<std::uint16_t> numbers;
  for (const auto& [number, protocol] : ports) numbers.push_back(number);
  std::vector<Forward> forwards;
  snapshot.leases.visit_near(numbers, [&](const state::Lease& lease) {
    add_forwards(
        snapshot, lease,
        [&](const HostPort& port) {
          return ports.contains({port.container, port.protocol});
        },
        forwards);
  });
  return forwards;
}

firewall::Ruleset ruleset_of(const Snapshot& snapshot) {
  return firewall::plan(guards_of(snapshot), forwards_of(snapshot));
}

std::vector<Step> transition(const Snapshot& before, const Snapshot& after) {
  using firewall::Table;
  const auto guards_before = guards_of(before);
  const auto guards_after = guards_of(after);
  const auto guards_during = both(guards_before, guards_after);
  const auto forwards_after = forwards_of(after);
  const auto during = firewall::plan(guards_during, {});
  const auto last = firewall::plan(guards_after, forwards_after);

  const auto bindings_after = bindings_of(after);
  const auto bindings_before = bindings_of(before);
  auto bindings_during = bindings_before;
  bindings_during.merge(bindings_after);

  std::vector<Step> steps;
  // For a pure tear-down the union already stands; every other change sets it up first.
  const bool shrinks = during.of(Table::filter) != last.of(Table::filter);
  const bool grows = during.of(Table::filter) != firewall::plan(guards_before, {}).of(Table::filter);
  if (grows || !shrinks)
    for (const auto table : {Table::raw, Table::mangle, Table::filter})
      steps.push_back(ApplyTable{during.of(table)});

  const bool unpins = bindings_during != bindings_after;
  if (bindings_during != bindings_before || (!unpins && !bindings_during.empty()))
    steps.push_back(ApplyBindings{bindings_during});
  steps.push_back(ApplyTable{last.of(Table::nat)});
  if (auto closed = closed_forwards(forwards_of(difference(before, after).gone), forwards_after);
      !closed.empty())
    steps.push_back(CutFlows{std::move(closed), forwards_after});

  for (const auto& bridge : after.bridges)
    steps.push_back(
        SetRouteLocalnet{bridge.ifindex, bridge.name, true, before.bridge(bridge.ifindex) != nullptr});
  for (const auto& bridge : before.bridges)
    if (after.bridge(bridge.ifindex) == nullptr && !bridge.prior_route_localnet)
      steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, false, true});

  // Also removes leftover bindings of a version that did not know them.
  if (unpins || bindings_after.empty()) steps.push_back(ApplyBindings{bindings_after});
  if (shrinks)
    for (const auto table : {Table::filter, Table::mangle, Table::raw})
      steps.push_back(ApplyTable{last.of(table)});
  return steps;
}

std::optional<std::vector<Step>> small_transition(const Snapshot& before, const Snapshot& after) {
  if (before.bridges != after.bridges || before.firewall != after.firewall) return std::nullopt;
  const auto [gone, come] = difference(before, after);
  if (gone.leases.empty() && come.leases.empty()) return std::nullopt;
  const auto is_guarded_in = [](const Snapshot& others) {
    return [&others](const state::Lease& lease) { return is_guarded_anyway(lease, others); };
  };
  if (!std::ranges::all_of(gone.leases, is_guarded_in(after)) ||
      !std::ranges::all_of(come.leases, is_guarded_in(before)))
    return std::nullopt;

  Ports ports;
  for (const auto& changed : {gone, come})
    for (const auto& lease : changed.leases)
      for (const auto& port : lease.ports) ports.emplace(port.container, port.protocol);
  const auto forwards_before = forwards_of(before, ports);
  const auto forwards_after = forwards_of(after, ports);
  std::vector<Step> steps;
  const bool unpins = std::ranges::any_of(gone.leases, is_pinned);
  const auto bindings_after =
      unpins || std::ranges::any_of(come.leases, is_pinned) ? bindings_of(after) : firewall::BindingPlan();
  if (!bindings_after.empty()) {
    auto during = bindings_of(gone);
    during.merge(bindings_after);
    steps.push_back(ApplyBindings{std::move(during)});
  }
  steps.push_back(ChangeForwards{firewall::plan({}, forwards_before).of(firewall::Table::nat),
                                 firewall::plan({}, forwards_after).of(firewall::Table::nat)});
  if (auto closed = closed_forwards(forwards_before, forwards_after); !closed.empty())
    steps.push_back(CutFlows{std::move(closed), forwards_after});
  if (unpins) steps.push_back(ApplyBindings{bindings_after});
  for (const auto& bridge : after.bridges)
    steps.push_back(SetRouteLocalnet{bridge.ifindex, bridge.name, true, true});
  return steps;
}

std::vector<netlink::Flow> flows_to_cut(const std::vector<netlink::Flow>& flows, const CutFlows& cut) {
  const auto any = [](const std::vector<Forward>& forwards, const netlink::Flow& flow) {
    return std::ranges::any_of(forwards, [&](const Forward& forward) { return lets_in(forward, flow); });
  };
  std::vector<netlink::Flow> out;
  for (const auto& flow : flows)
    if (any(cut.closed, flow) && !any(cut.open, flow)) out.push_back(flow);
  return out;
}

}  // namespace hostnet::exposer
