// Puts a plan into the kernel's legacy ip_tables by libiptc.
//
// Applying is declarative: after apply() our chain and the jumps to it are exactly as planned, whatever was
// there before, and nothing else in the table has changed. Rules that are there already stay where they are
// with their counters, and a table that is as planned is not written at all. However many rules change, one
// apply is one commit, and a commit is atomic.
//
// A libiptc commit replaces the whole table with what was read plus the changes. Another program that writes
// in between makes it fail with EAGAIN when the number of rules differs, and silently loses its change when
// not; hence the lock, which all well-behaved programs take, and the retry, for those that do not.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "firewall/ruleset.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// ip_tables of the calling thread's network namespace. Not thread-safe.
class Iptables {
 public:
  /// Makes one table as planned. Returns whether anything had to change. A plan that is empty never creates
  /// the table: reading one by libiptc is enough to make it appear in the namespace, for good.
  /// @throws Error: not_authorised, timed_out (the lock), no_path (no ip_tables in this kernel), failure.
  bool apply(const TablePlan& plan, Deadline deadline);

  /// Whether the table has exactly the plan's chain and jumps. Takes no lock, changes nothing. @throws Error.
  bool matches(const TablePlan& plan);

  /// Whether a plan for table filter has to stand in the legacy table for INPUT to let our traffic in, or
  /// stands there already: where the table exists and its INPUT holds rules or drops by policy.
  /// @throws Error.
  static bool input_concerns(const TablePlan& plan);

  /// The bridges that have our guard in table raw, whoever put it there. @throws Error.
  static std::vector<std::string> guarded_bridges();
};

/// Tells cheaply (84 bytes a table, no copy of the rules) that a table changed its size since the last look.
/// Not thread-safe; in the network namespace of the thread that made it.
class TableWatch {
 public:
  /// @throws Error where a raw socket is not allowed.
  TableWatch();
  /// A number for the number and total size of rules in each of the tables; equal as long as nobody adds or
  /// removes.
  std::uint64_t look();

 private:
  Fd socket_;
};

/// Whether ip_tables of this netns holds the table already, without creating it.
bool table_exists(Table table);

}  // namespace hostnet::firewall
