// The plan in the terms of nftables: which sets, maps and chains stand for which part of it, what of them is
// there, and the commands that lead from there to the plan. Pure: nothing here touches the kernel.
//
// Everything lives in one table, `ip tc_hostnet`, which is ours alone. It has no owner in the kernel's sense
// (flags owner): several processes hold leases in it, and the guard has to outlive each of them. The chains'
// rules never change; bridges, gateways and forwards are elements of sets and maps, so that one forward costs
// the same to add, to remove and to look up however many there are.
//
//   part      chain        its rules drop, or rewrite, by             where it hooks in
//   raw       guard_raw    bridges_raw                                prerouting, before conntrack
//   mangle    guard_out    bridges_out                                postrouting, before the source is
//   restored filter    guard_in     bridges_in, gateways_in                    input nat       forwards
//   by_mac_source_tcp/udp, by_source,          prerouting, before anybody else's DNAT
//                          by_mac, by_bridge: the narrowest first
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

/// From the key, as nft takes it, to the rest of the element: its comment and where it leads.
using Elements = std::unordered_map<std::string, std::string>;

/// A set or map as it is there.
struct SetState {
  bool there = false;
  bool is_map = false;  ///< Whatever it should be.
  bool right = false;   ///< Of the kind and types that it should have.
  Elements elements;
};

/// What is there of one part.
struct PartState {
  bool chain_there = false;
  bool chain_hooked = false;   ///< Where and how it should be.
  bool chain_right = false;    ///< And with all of its rules, and no other.
  std::vector<SetState> sets;  ///< As many as the part has, in the same order.

  [[nodiscard]] bool gone() const;
};

/// Our table as it is there.
struct State {
  bool table_there = false;
  std::array<PartState, kTables.size()> parts;  ///< In the order of kTables.

  State();
};

/// From what `nft --json --numeric-protocol list table ip tc_hostnet` prints; whatever else stands in the
/// table is passed over. @throws Error when it is not that.
State read_state(std::string_view json);

/// One transaction on one part.
struct Change {
  std::string commands;  ///< Empty when the part is as planned already.
  bool table_there = false;
  /// What they lead to: the part anew, or, of each of its sets, elements that go and elements that come.
  std::optional<PartState> part;
  std::vector<Elements> gone;
  std::vector<Elements> come;
};

/// What makes one part of the table as planned. The table itself comes with the first part and goes with the
/// last.
Change change_to(const TablePlan& plan, const State& state);

/// What makes the elements of `from` into those of `to` and leaves all others as they are. For plans of the
/// same part, of which `from` is known to stand, as is more of that part.
Change change_between(const TablePlan& from, const TablePlan& to);

/// The state after a change has been made.
void note(State& state, Table table, Change change);

/// All commands for a plan, on an empty slate: for --dry-run and for people.
std::string to_nft(const TablePlan& plan);

/// The bridges that the guard in the raw part is for; none unless its chain is whole.
std::vector<std::string> guarded_bridges(const State& state);

/// The forwards and their counters, from the same text as read_state().
std::vector<ForwardTraffic> read_forwards(std::string_view json);

}  // namespace hostnet::firewall::nft
