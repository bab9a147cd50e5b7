// Leases as text.
#pragma once

#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "core/json.hpp"
#include "lease/snapshot.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

/// The heading of `list` and one row per lease.
std::vector<Row> list_rows(const state::Snapshot& snapshot);

/// The members "interface", the containers' bridge, and "network", that of the sidecar; the path has one of them,
/// and the other is null. `place` is Exposure::interface().
void add_place(json::Value& object, std::string_view via, const std::string& place);

/// "8088/tcp, 5432:15432/tcp"
std::string ports_text(const std::vector<HostPort>& ports);

/// "12 s", "3 min", "2 h", "5 d"
std::string span_text(std::int64_t seconds);

}  // namespace hostnet::cli
