// From what was held to what shall be held: the steps, in the only safe order, as data.
//
// The invariant at every point between two steps: a bridge with route_localnet=1 that we set has its guard in
// place. So a set-up goes guard → DNAT → sysctl, and a tear-down DNAT → live flows → sysctl → guard, and a
// change that is both goes through the union of the guards. Whoever is killed between two steps leaves a
// state from which the same function leads on, because every step is idempotent.
#pragma once

#include "firewall/bindings.hpp"
#include "firewall/ruleset.hpp"
#include "lease/snapshot.hpp"
#include "netlink/conntrack.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hostnet::exposer {

/// Make one table of the firewall as planned.
struct ApplyTable {
  firewall::TablePlan plan;
};

/// Make some of the forwards into others, and leave the rest of the table nat alone.
struct ChangeForwards {
  firewall::TablePlan from;
  firewall::TablePlan to;
};

/// Reset the connections that came in by forwards which are closed now, and forget them in conntrack.
struct CutFlows {
  std::vector<firewall::Forward> closed;
  std::vector<firewall::Forward> open;  ///< Still there: flows that one of these lets in go on.
};

/// Make the bindings of containers to their ports of the bridge as planned.
struct ApplyBindings {
  firewall::BindingPlan plan;
};

struct SetRouteLocalnet {
  int ifindex = 0;
  std::string bridge;
  bool on = false;
  /// It was held before. Bridges go at any moment: this one's leases then end at the next look, and nobody
  /// else's set-up or tear-down fails for it.
  bool held = false;
};

using Step = std::variant<ApplyTable, ApplyBindings, ChangeForwards, CutFlows, SetRouteLocalnet>;

/// "apply 3 rules in table nat", "set route_localnet=1 on br0": for messages.
std::string describe(const Step& step);

std::vector<firewall::Guard> guards_of(const state::Snapshot& snapshot);
firewall::BindingPlan bindings_of(const state::Snapshot& snapshot);
std::vector<firewall::Forward> forwards_of(const state::Snapshot& snapshot);
/// Only the forwards on these ports of the gateways, at the cost of these.
using Ports = std::set<std::pair<std::uint16_t, Protocol>>;
std::vector<firewall::Forward> forwards_of(const state::Snapshot& snapshot, const Ports& ports);
/// All four tables for what is held.
firewall::Ruleset ruleset_of(const state::Snapshot& snapshot);

/// The steps from `before` to `after`. Equal arguments give the steps that put right whatever others have
/// undone.
std::vector<Step> transition(const state::Snapshot& before, const state::Snapshot& after);

/// The same for two that differ in forwards alone, at the cost of the difference: for when all stands as
/// `before` says. nullopt when they differ in more, or in nothing, or have no forward in common.
std::optional<std::vector<Step>> small_transition(const state::Snapshot& before,
                                                  const state::Snapshot& after);

/// Which of the flows came in by a closed forward and by no open one.
std::vector<netlink::Flow> flows_to_cut(const std::vector<netlink::Flow>& flows, const CutFlows& cut);

}  // namespace hostnet::exposer
