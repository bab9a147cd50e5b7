// Removes the leftovers of leases with a dead owner, for every path that keeps records
// (lease/tunnel_record.hpp). A path may call it: the table of paths is above it (paths.cpp).
#pragma once

#include "lease/tunnel_record.hpp"
#include "path/path.hpp"

#include <vector>

namespace hostnet::exposer {

/// Lets the record's path remove the lease. @throws Error as PathDriver::clear_away.
void clear_away(PathTable table, const state::TunnelStore& store, const state::TunnelRecord& record,
                Deadline deadline);

/// Calls clear_away() for every record with a dead owner. Logs failures.
void clear_dead_leases(PathTable table, const state::TunnelStore& store, Deadline deadline);
/// As above, with the library's paths.
void clear_dead_leases(const state::TunnelStore& store, Deadline deadline);

/// A lease's record and the path that describes it.
struct RecordedLease {
  const PathDriver* driver;
  state::TunnelRecord record;
};

/// Its path's facts about it, or why it waits for its target.
RecordView describe(const RecordedLease& lease);

/// The leases known only from their records, oldest first.
std::vector<RecordedLease> recorded_leases(PathTable table, const state::TunnelStore& store);

}  // namespace hostnet::exposer
