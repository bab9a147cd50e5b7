// All leases that this caller can see, of every path, for `list`.
#pragma once

#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/layout.hpp"
#include "cli/record_view.hpp"
#include "core/json.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {

/// The leases where each kind is kept. One that comes back from waiting is in the journal only.
struct VisibleLeases {
  std::optional<state::Snapshot> journal;  ///< nullopt: root's, which this caller may not read.
  std::vector<dbus::LeaseFacts> helped;
  RecordedLeases recorded;
};

/// Releases the leases of dead owners first, unless it is a dry run.
VisibleLeases look_at_kinds(exposer::LeaseStore& store, const Globals& globals);

struct ListedLease {
  std::string id;
  json::Value object;  ///< As in --json, without "schema".
  std::string ports;   ///< "8088/tcp,5432:15432/tcp"
  Row row;
  pid_t owner = 0;
};

struct Listing {
  std::vector<ListedLease> leases;
  bool hides_roots = false;  ///< Root has leases that this caller may not read.

  /// A heading and the rows.
  [[nodiscard]] std::vector<Row> rows() const;
  /// What of it concerns more than counters: equal texts, no change worth a line.
  [[nodiscard]] std::string gist() const;
};

/// Releases the leases of dead owners first, unless it is a dry run.
Listing look_at_leases(const Globals& globals);

}  // namespace hostnet::cli
