// Puts a plan into nf_tables with libnftables. nft_script.hpp describes its form.
//
// apply() is declarative, as with libiptc: afterwards this part of our table is exactly as planned, whatever
// was there before, and other tables are unchanged. One apply() is one transaction, of the difference only.
//
// The object remembers its last change with the generation of nf_tables, a number that the kernel increments
// with each transaction of any program. While the generation is the same, our table is as we left it and need
// not be read; otherwise it is read again.
#pragma once

#include "core/deadline.hpp"
#include "firewall/bindings.hpp"
#include "firewall/libnftables.hpp"
#include "firewall/nft_script.hpp"
#include "netlink/nft_tables.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// Works in the network namespace of the thread that first uses it. Not thread-safe.
class Nftables {
 public:
  /// Makes one part of the table as planned. Returns whether it changed anything.
  /// @throws Error: not_authorised, no_path (no libnftables), failure.
  bool apply(const TablePlan& plan, Deadline deadline);

  /// Whether nf_tables are unchanged since the last apply() or change_forwards().
  [[nodiscard]] bool is_as_left();

  /// Turns the forwards of `from` into those of `to`. The cost depends on these forwards only. Use when
  /// is_as_left() and the forwards of `from` stand. Returns whether it changed anything.
  /// @throws Error, also when another program changed nf_tables meanwhile; apply() finds out what stands
  /// then.
  bool change_forwards(const TablePlan& from, const TablePlan& to);

  /// Whether the part is exactly as planned. Changes nothing. @throws Error.
  bool matches(const TablePlan& plan);

  /// Makes the table of bindings as planned. Returns whether it changed anything. @throws Error: as apply(),
  /// and failure when the kernel has no family bridge.
  bool apply_bindings(const BindingPlan& plan, Deadline deadline);
  /// Whether the bindings are as planned. Changes nothing. @throws Error.
  bool bindings_match(const BindingPlan& plan);
  /// Why this kernel would refuse a table of bindings, or that libnftables is missing; empty when bindings
  /// are possible. Changes nothing. @throws Error{not_authorised}.
  std::string binding_fault();

  /// The bridges with our guard before conntrack, of any process. @throws Error, also when the table is
  /// dormant.
  std::vector<std::string> guarded_bridges();

  /// All forwards, with their counters. @throws Error.
  std::vector<ForwardTraffic> read_traffic();

 private:
  bool is_dormant();
  bool wake();
  std::string list();
  nft::State read();
  const nft::State& look(Deadline deadline);
  bool make(Table table, nft::Change change);
  void forget();

  std::optional<NftContext> context_;
  std::optional<netlink::NftTables> tables_;
  nft::State state_;                         // the table at generation_
  std::optional<BindingPlan> bindings_;      // the bindings at generation_; nullopt: unknown
  std::optional<std::uint32_t> generation_;  // nullopt: state_ and bindings_ are unknown
};

}  // namespace hostnet::firewall
