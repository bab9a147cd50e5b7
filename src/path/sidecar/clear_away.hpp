// Removes what a lease left at its engine: PathDriver::clear_away of paths whose leases have a sidecar, an alias
// in hosts files, or both.
#pragma once

#include "core/deadline.hpp"
#include "lease/tunnel_record.hpp"

namespace hostnet::exposer {

/// Removes what is left of a lease whose owner has died, or which another process releases: sidecar, alias,
/// record. @throws Error that names every failed step; the record then stays.
void clear_away_sidecar(const state::TunnelStore& store, const state::TunnelRecord& record,
                        Deadline deadline);

}  // namespace hostnet::exposer
