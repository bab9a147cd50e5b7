// What the native path would do for a request, without doing it; and for a command in a namespace of its own.
#pragma once

#include "hostnet/exposer.hpp"
#include "lease/snapshot.hpp"
#include "path/path.hpp"

#include <string>

namespace hostnet::exposer {

/// As PathDriver::dry_run.
DryRun native_dry_run(const ExposeRequest& request, const ExposerOptions& options);

/// What is done beside the steps of a lease; empty for nothing.
struct Around {
  std::string first;
  std::string last;
};

/// The steps and rules by which the first lease of `wanted`, made anew, comes into effect. Of the options,
/// `runtime_dir` and `firewall` count. @throws Error.
DryRun dry_run_of(state::Snapshot wanted, const ExposerOptions& options, const Around& around = {});

/// The lease as an object: id, target, via, interface, gateway, gateways, sources, ports, label, created,
/// expires, owner; unpinned, why its sources are not pinned, or null. Times are seconds since the epoch.
json::Value lease_to_json(const state::Lease& lease, const state::Snapshot& snapshot);

/// The name of its bridge, "?" where that is not known.
std::string interface_of(const state::Lease& lease, const state::Snapshot& snapshot);

}  // namespace hostnet::exposer
