// Puts a plan into nf_tables by libnftables: nft_script.hpp says in which form.
//
// Applying is declarative, as with libiptc: after apply() this part of our table is exactly as planned,
// whatever was there before, and nothing of anybody else has changed. One apply is one transaction, of the
// difference alone.
//
// What was applied last is remembered together with the generation of nf_tables, a number that the kernel
// counts up with each transaction of whomever. While it is ours, our table is as we left it and need not be
// read; when it is not, the table is read anew.
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

/// nf_tables of the network namespace of the thread that first uses it. Not thread-safe.
class Nftables {
 public:
  /// Makes one part of the table as planned. Returns whether anything had to change.
  /// @throws Error: not_authorised, no_path (no libnftables), failure.
  bool apply(const TablePlan& plan, Deadline deadline);

  /// Whether nobody has changed nf_tables since the last apply() or change_forwards().
  [[nodiscard]] bool is_as_left();

  /// Makes the forwards of `from` into those of `to`, at the cost of these and not of all that stand. For
  /// when is_as_left(), and what was left has those of `from`. Returns whether anything had to change.
  /// @throws Error, also when somebody has changed nf_tables meanwhile; apply() can tell what stands then.
  bool change_forwards(const TablePlan& from, const TablePlan& to);

  /// Whether the part is exactly as planned. Changes nothing. @throws Error.
  bool matches(const TablePlan& plan);

  /// Makes the table of bindings as planned. Returns whether anything had to change. @throws Error: as
  /// apply(), and failure where the kernel has no family bridge.
  bool apply_bindings(const BindingPlan& plan, Deadline deadline);
  /// Whether it is as planned. Changes nothing. @throws Error.
  bool bindings_match(const BindingPlan& plan);
  /// Why this kernel would not take a table of bindings, or that libnftables is not there; empty when they
  /// would stand. Changes nothing. @throws Error{not_authorised}.
  std::string binding_fault();

  /// The bridges that have our guard in front of conntrack, whoever put it there. @throws Error, also when
  /// the table sleeps.
  std::vector<std::string> guarded_bridges();

  /// All forwards, with what came in by them. @throws Error.
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
  nft::State state_;                         // as it was at generation_
  std::optional<BindingPlan> bindings_;      // likewise; nullopt: not known
  std::optional<std::uint32_t> generation_;  // nullopt: neither is known
};

}  // namespace hostnet::firewall
