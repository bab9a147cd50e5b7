// Leases that the helper holds, for a caller who is not root: how the command finds, shows and releases them.
#pragma once

#include "cli/command.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "core/json.hpp"
#include "dbus/client.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// All leases that the helper holds, of every user. Empty for root, who reads them from the journal, and when
/// the helper does not answer.
std::vector<dbus::LeaseFacts> look_at_helper();

/// Same JSON as a native lease, with "via": "helper".
json::Value to_json(const dbus::LeaseFacts& lease);

/// A row of `list`.
Row row_of(const dbus::LeaseFacts& lease);

/// The rows of `inspect`.
std::vector<Row> rows_of(const dbus::LeaseFacts& lease);

}  // namespace hostnet::cli
