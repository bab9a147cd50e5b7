// A lease of any path as this user may see it, by the id that a sidecar's label or a line in a hosts file gives: for
// messages about leases of others.
#pragma once

#include "hostnet/port.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

struct SeenLease {
  std::string target;  ///< As requested: "network web".
  std::vector<HostPort> ports;
};

/// From this user's records, else from the journal of this network namespace; nullopt if it is in neither, or this user
/// may not read them. `runtime_dir` as in ExposerOptions. Changes nothing.
std::optional<SeenLease> seen_lease(const std::string& id, const std::string& runtime_dir) noexcept;

}  // namespace hostnet::exposer
