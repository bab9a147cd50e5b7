// Leases on the ssh path, as the command finds, shows and releases them.
#pragma once

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "core/deadline.hpp"
#include "core/json.hpp"
#include "lease/tunnel_record.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// This user's, after finishing what dead owners left, which a dry run leaves alone.
std::vector<state::TunnelRecord> look_at_tunnels(const state::TunnelStore& store, const Globals& globals);

/// As the JSON of a native lease, with "via": "ssh", and "network", "sidecar" and "tunnel" of its own.
json::Value to_json(const state::TunnelRecord& record);

/// A row of `list`.
Row row_of(const state::TunnelRecord& record);

/// The rows of `inspect`.
std::vector<Row> rows_of(const state::TunnelRecord& record);

/// "up, aes128-gcm@openssh.com on 2 sessions, 3 connections open of 120, 1.2 MB in, 3 kB out"
std::string tunnel_text(const state::TunnelStats& stats);

}  // namespace hostnet::cli
