// Puts a plan into the kernel's legacy ip_tables with libiptc.
//
// apply() is declarative: afterwards our chain and the jumps to it are exactly as planned, whatever was there
// before, and the rest of the table is unchanged. Existing rules stay in place with their counters. A table
// that is already as planned is not written. One apply() is one commit, however many rules change, and a
// commit is atomic.
//
// A libiptc commit replaces the whole table with the table as read plus the changes. If another program
// writes in between, the commit fails with EAGAIN when the number of rules differs; otherwise that program's
// change is silently lost. Hence the lock, which well-behaved programs take, and the retry for others.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "firewall/ruleset.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// The ip_tables of the calling thread's network namespace. Not thread-safe.
class Iptables {
 public:
  /// Makes one table as planned. Returns whether it changed anything. An empty plan never creates the table:
  /// just reading a table through libiptc creates it in the namespace, for good.
  /// @throws Error: not_authorised, timed_out (the lock), no_path (no ip_tables in this kernel), failure.
  bool apply(const TablePlan& plan, Deadline deadline);

  /// Whether the table has exactly the plan's chain and jumps. Takes no lock, changes nothing. @throws Error.
  bool matches(const TablePlan& plan);

  /// Whether a plan for table filter matters to the legacy INPUT chain: the table exists, and it holds our
  /// chain already, or the plan is not empty and INPUT has rules or a policy other than ACCEPT.
  /// @throws Error.
  static bool input_concerns(const TablePlan& plan);

  /// The bridges with our guard in table raw, of any process. @throws Error.
  static std::vector<std::string> guarded_bridges();
};

/// Detects cheaply (84 bytes per table, no copy of the rules) that a table changed its size since the last
/// look(). Not thread-safe. Works in the network namespace of the thread that made it.
class TableWatch {
 public:
  /// @throws Error when a raw socket is not permitted.
  TableWatch();
  /// A hash of the number and total size of rules in each table: equal unless rules were added or removed.
  std::uint64_t look();

 private:
  Fd socket_;
};

/// Whether ip_tables of this netns already have the table. Does not create it.
bool table_exists(Table table);

}  // namespace hostnet::firewall
