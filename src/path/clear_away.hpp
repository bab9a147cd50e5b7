// Removes the leftovers of leases with a dead owner, for every path that keeps records
// (lease/tunnel_record.hpp). A path may call it: the table of paths is above it (paths.cpp).
#pragma once

#include "lease/tunnel_record.hpp"
#include "path/path.hpp"

#include <set>
#include <span>
#include <string>
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

/// The leases known only from their records, in the order of these.
std::vector<RecordedLease> recorded_leases(PathTable table, std::vector<state::TunnelRecord> records);

/// Tells the followers of leases (watch/follower.hpp) whose id begins so that their lease is released, also those
/// whose lease is in no record at this moment; returns the leases. Call it before looking for the leases.
std::set<std::string> end_followers(const state::TunnelStore& store, const std::string& beginning);

/// Waits until no owner of these leases, which were revoked, has ports open that only it can close: at most 5 s for
/// all. @return the ids of those that have.
std::set<std::string> await_owners(const state::TunnelStore& store, std::span<const RecordedLease> leases);

}  // namespace hostnet::exposer
