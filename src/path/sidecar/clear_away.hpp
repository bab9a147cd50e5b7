// Cleans up after a lease whose owner has died, of any path that keeps a record of it
// (lease/tunnel_record.hpp).
#pragma once

#include "core/deadline.hpp"
#include "lease/tunnel_record.hpp"

namespace hostnet::exposer {

/// Removes what is left of a lease whose owner has died, or which another process releases: sidecar, alias,
/// record. @throws Error that names every failed step; the record then stays.
void clear_away(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline);

/// clear_away() for every record whose owner has died. Logs failures.
void clear_dead_tunnels(const state::TunnelStore& store, Deadline deadline);

}  // namespace hostnet::exposer
