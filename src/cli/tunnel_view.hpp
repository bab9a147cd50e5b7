// Leases on the ssh path: how the command finds and shows them.
#pragma once

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "core/deadline.hpp"
#include "core/json.hpp"
#include "lease/tunnel_record.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// This user's leases, after releasing those of dead owners; a dry run only reads.
std::vector<state::TunnelRecord> look_at_tunnels(const state::TunnelStore& store, const Globals& globals);

/// Same JSON as a native lease, with "via" its path, plus "network", "sidecar" and "tunnel".
json::Value to_json(const state::TunnelRecord& record);

/// A row of `list`.
Row row_of(const state::TunnelRecord& record);

/// The rows of `inspect`.
std::vector<Row> rows_of(const state::TunnelRecord& record);

/// "up, aes128-gcm@openssh.com on 2 sessions, 3 connections open of 120, 1.2 MB to the host, 3.0 kB from it"
std::string tunnel_text(const state::TunnelStats& stats);

}  // namespace hostnet::cli
