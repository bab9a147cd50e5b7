// What is left of a lease whose owner has died: of every path that keeps a record of it
// (lease/tunnel_record.hpp).
#pragma once

#include "core/deadline.hpp"
#include "lease/tunnel_record.hpp"

namespace hostnet::exposer {

/// Removes what stands of a lease whose owner has died, or that another process releases: alias, sidecar,
/// record.
/// @throws Error naming every step that failed; the record stays then.
void clear_away(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline);

/// clear_away() for every record whose owner has died. Failures go to the log.
void clear_dead_tunnels(const state::TunnelStore& store, Deadline deadline);

}  // namespace hostnet::exposer
