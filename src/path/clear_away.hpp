// What is left of a lease whose owner has died, of every path that keeps a record of its leases
// (lease/tunnel_record.hpp). A path may call it: which paths there are is known above (paths.cpp).
#pragma once

#include "lease/tunnel_record.hpp"
#include "path/path.hpp"

#include <vector>

namespace hostnet::exposer {

/// Has the record's path remove what stands of the lease. @throws Error as PathDriver::clear_away.
void clear_away(PathTable table, const state::TunnelStore& store, const state::TunnelRecord& record,
                Deadline deadline);

/// clear_away() for every record whose owner has died. Failures go to the log.
void clear_dead_leases(PathTable table, const state::TunnelStore& store, Deadline deadline);
/// By the library's paths.
void clear_dead_leases(const state::TunnelStore& store, Deadline deadline);

/// A lease as its record has it, and the path that describes it.
struct RecordedLease {
  const PathDriver* driver;
  state::TunnelRecord record;
};

/// The leases that their records alone tell of, oldest first.
std::vector<RecordedLease> recorded_leases(PathTable table, const state::TunnelStore& store);

}  // namespace hostnet::exposer
