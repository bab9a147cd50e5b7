// What stands of a lease by the engine: PathDriver::clear_away of paths whose leases have a sidecar, an alias
// in hosts files, or both.
#pragma once

#include "core/deadline.hpp"
#include "lease/tunnel_record.hpp"

namespace hostnet::exposer {

/// Removes alias, sidecar and record of a lease whose owner has died, or that another process releases.
/// @throws Error naming every step that failed; the record stays then.
void clear_away_sidecar(const state::TunnelStore& store, const state::TunnelRecord& record,
                        Deadline deadline);

}  // namespace hostnet::exposer
