// The steps from one snapshot to another, in the only safe order, as data.
//
// The invariant between any two steps: a bridge on which we set route_localnet=1 has its guard. So a set-up
// goes guard → DNAT → sysctl, a tear-down DNAT → live flows → sysctl → guard, and a change that is both uses
// the union of the guards. A process killed between two steps leaves a state from which the same function
// continues, because every step is idempotent.
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

/// Makes one table of the firewall match the plan.
struct ApplyTable {
  firewall::TablePlan plan;
};

/// Replaces some forwards and leaves the rest of table nat alone.
struct ChangeForwards {
  firewall::TablePlan from;
  firewall::TablePlan to;
};

/// Resets the connections through closed forwards and deletes their conntrack entries.
struct CutFlows {
  std::vector<firewall::Forward> closed;
  std::vector<firewall::Forward> open;  ///< Open forwards: flows that one of these permits continue.
};

/// Makes the bindings of containers to their bridge ports match the plan.
struct ApplyBindings {
  firewall::BindingPlan plan;
};

struct SetRouteLocalnet {
  int ifindex = 0;
  std::string bridge;
  bool on = false;
  /// The bridge was already held. A bridge can vanish at any time: the next check ends its leases, and no
  /// other lease's set-up or tear-down fails because of it.
  bool held = false;
};

using Step = std::variant<ApplyTable, ApplyBindings, ChangeForwards, CutFlows, SetRouteLocalnet>;

/// "apply 3 rules in table nat", "set route_localnet=1 on br0": for messages.
std::string describe(const Step& step);

std::vector<firewall::Guard> guards_of(const state::Snapshot& snapshot);
firewall::BindingPlan bindings_of(const state::Snapshot& snapshot);
std::vector<firewall::Forward> forwards_of(const state::Snapshot& snapshot);
/// Only the forwards on these gateway ports; the cost depends on these ports.
using Ports = std::set<std::pair<std::uint16_t, Protocol>>;
std::vector<firewall::Forward> forwards_of(const state::Snapshot& snapshot, const Ports& ports);
/// All four tables for a snapshot.
firewall::Ruleset ruleset_of(const state::Snapshot& snapshot);

/// The steps from `before` to `after`. Equal arguments give the steps that repair what others have changed.
std::vector<Step> transition(const state::Snapshot& before, const state::Snapshot& after);

/// The steps between snapshots that differ only in forwards, at the cost of the difference; requires that the
/// kernel is as `before`. nullopt if the snapshots differ in more, or do not differ, or a changed lease has
/// no other lease that needs its guard.
std::optional<std::vector<Step>> small_transition(const state::Snapshot& before,
                                                  const state::Snapshot& after);

/// The flows that came through a closed forward and that no open one permits.
std::vector<netlink::Flow> flows_to_cut(const std::vector<netlink::Flow>& flows, const CutFlows& cut);

}  // namespace hostnet::exposer
