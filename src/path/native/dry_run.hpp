// Dry runs of the native path, for a request and for a command in its own namespace (`run`).
#pragma once

#include "hostnet/exposer.hpp"
#include "lease/snapshot.hpp"
#include "path/path.hpp"

#include <string>

namespace hostnet::exposer {

/// As PathDriver::dry_run.
DryRun native_dry_run(const ExposeRequest& request, const ExposerOptions& options);

/// Steps before and after those of the lease; empty for none.
struct Around {
  std::string first;
  std::string last;
};

/// The steps and rules that put the first lease of `wanted` into effect from nothing. Uses `runtime_dir` and
/// `firewall` of the options. @throws Error.
DryRun dry_run_of(state::Snapshot wanted, const ExposerOptions& options, const Around& around = {});

/// The lease as a JSON object: id, target, via, label, interface, ifindex, gateway, gateways, sources,
/// unpinned (why the sources have no binding, or null), mac, ports, alias_in, created, expires, owner. Times
/// are seconds since the epoch.
json::Value lease_to_json(const state::Lease& lease, const state::Snapshot& snapshot);

/// The name of the lease's bridge, "?" if unknown.
std::string interface_of(const state::Lease& lease, const state::Snapshot& snapshot);

}  // namespace hostnet::exposer
