// The plan in nftables' terms: the sets, maps and chains for each part, their current state, and the commands
// that turn that state into the plan. Pure: nothing here touches the kernel.
//
// Everything is in one table, `ip tc_hostnet`, which is ours alone. It has no owner in the kernel's sense
// (flags owner): several processes hold leases in it, and the guard must outlive each of them. The chains'
// rules never change. Bridges, gateways and forwards are elements of sets and maps, so the cost to add,
// remove or look up a forward does not depend on their number.
//
//   part     chain       its rules drop or rewrite by             hook
//   raw      guard_raw   bridges_raw                              prerouting, before conntrack
//   mangle   guard_out   bridges_out                              postrouting, before the source is restored
//   filter   guard_in    bridges_in, gateways_in                  input
//   nat      doors       by_mac_source_tcp, by_mac_source_udp,    prerouting, before any other DNAT
//                        by_source, by_mac, by_bridge:
//                        the narrowest first
#pragma once

#include "firewall/ruleset.hpp"
#include "firewall/traffic.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hostnet::firewall::nft {

inline constexpr const char* kTableName = "tc_hostnet";

/// Maps the key, as nft takes it, to the rest of the element: its comment and its destination.
using Elements = std::unordered_map<std::string, std::string>;

/// The current state of a set or map.
struct SetState {
  bool there = false;
  bool is_map = false;  ///< What it is, not what it should be.
  bool right = false;   ///< It has the right kind and types.
  Elements elements;
};

/// The current state of one part.
struct PartState {
  bool chain_there = false;
  bool chain_hooked = false;   ///< With the right type, hook and priority.
  bool chain_right = false;    ///< Also with all of its rules, and no other.
  std::vector<SetState> sets;  ///< All sets of the part, in the same order.

  [[nodiscard]] bool gone() const;
};

/// The current state of our table.
struct State {
  bool table_there = false;
  std::array<PartState, kTables.size()> parts;  ///< In the order of kTables.

  State();
};

/// Reads the output of `nft --json --numeric-protocol list table ip tc_hostnet`. Ignores foreign objects in
/// the table. @throws Error for any other text.
State read_state(std::string_view json);

/// One transaction on one part.
struct Change {
  std::string commands;  ///< Empty when the part is already as planned.
  bool table_there = false;
  /// The result: the whole part, or for each of its sets the elements that go and those that come.
  std::optional<PartState> part;
  std::vector<Elements> gone;
  std::vector<Elements> come;
};

/// The change that makes one part as planned. The first part creates the table, the last one removes it.
Change change_to(const TablePlan& plan, const State& state);

/// The change that turns the elements of `from` into those of `to` and leaves all others. Both plans are for
/// the same part; the caller knows that the elements of `from` stand.
Change change_between(const TablePlan& from, const TablePlan& to);

/// Updates the state after a change.
void note(State& state, Table table, Change change);

/// All commands for a plan, from an empty table: for --dry-run and for people.
std::string to_nft(const TablePlan& plan);

/// The bridges that the raw part guards; none unless its chain is complete.
std::vector<std::string> guarded_bridges(const State& state);

/// The forwards and their counters, from the same text as read_state().
std::vector<ForwardTraffic> read_forwards(std::string_view json);

}  // namespace hostnet::firewall::nft
