// A native lease as text and as JSON.
#pragma once

#include "cli/output.hpp"
#include "core/json.hpp"
#include "lease/snapshot.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// The lease as an object: id, target, via, label, interface, ifindex, gateway, gateways, sources, mac,
/// ports, alias_in, created, expires, owner; unpinned: why its sources have no anti-spoofing binding, or
/// null. Times are seconds since the epoch.
json::Value to_json(const state::Lease& lease, const state::Snapshot& snapshot);

/// The name of the lease's bridge; "?" if the snapshot lacks the bridge.
std::string interface_of(const state::Lease& lease, const state::Snapshot& snapshot);

/// The heading of `list` and one row per lease.
std::vector<Row> list_rows(const state::Snapshot& snapshot);

/// Objects with host, container, protocol and, for a Unix socket, socket.
json::Value to_json(const std::vector<HostPort>& ports);

/// "8088/tcp, 5432:15432/tcp"
std::string ports_text(const std::vector<HostPort>& ports);

/// "12 s", "3 min", "2 h", "5 d"
std::string span_text(std::int64_t seconds);

}  // namespace hostnet::cli
