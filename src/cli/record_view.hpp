// Leases that have a record, as the command finds, shows and releases them.
#pragma once

#include "cli/command.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "core/json.hpp"
#include "lease/snapshot.hpp"
#include "lease/tunnel_record.hpp"
#include "path/clear_away.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

using RecordedLeases = std::vector<exposer::RecordedLease>;

/// For find_by_id().
struct RecordId {
  const std::string& operator()(const exposer::RecordedLease& lease) const { return lease.record.id; }
};

/// This user's, after finishing what dead owners left, which a dry run leaves alone.
RecordedLeases look_at_records(const state::TunnelStore& store, const Globals& globals);

/// Takes out the leases that wait and are in the journal: one that comes back is there before its record goes.
void drop_returned(RecordedLeases& recorded, const state::Snapshot& held);

/// As the JSON of a native lease, with "network", and what its path adds.
json::Value to_json(const exposer::RecordedLease& lease);

/// A row of `list`.
Row row_of(const exposer::RecordedLease& lease);

/// The rows of `inspect`.
std::vector<Row> rows_of(const exposer::RecordedLease& lease);

/// How it is now, for `status`, as its path says it.
std::string state_of(const exposer::RecordedLease& lease);

}  // namespace hostnet::cli
