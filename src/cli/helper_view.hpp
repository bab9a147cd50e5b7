// Leases that the helper holds, as the command finds, shows and releases them for somebody who is not root.
#pragma once

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "core/json.hpp"
#include "dbus/client.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// All that the helper holds, for whomever. Empty for root, who has them from the journal, and where there is
/// no helper running.
std::vector<dbus::LeaseFacts> look_at_helper();

/// As the JSON of a native lease, with "via": "helper".
json::Value to_json(const dbus::LeaseFacts& lease);

/// A row of `list`.
Row row_of(const dbus::LeaseFacts& lease);

/// The rows of `inspect`.
std::vector<Row> rows_of(const dbus::LeaseFacts& lease);

}  // namespace hostnet::cli
