// The helper path: the native path's rules, made by tc-hostnetd for a user who is not root.
#pragma once

#include "core/deadline.hpp"
#include "core/mac.hpp"
#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <memory>

namespace hostnet::exposer {

/// Makes the exposer without calling the bus.
std::unique_ptr<Exposer> make_helper(const ExposerOptions& options);

/// A lease for the container with this Ethernet address on the target network, without an alias.
/// @throws Error as Exposer::expose().
Exposure expose_to_mac(const ExposerOptions& options, const ExposeRequest& request, Mac mac);

/// Whether the helper is on the system bus, or a call would start it. Starts nothing.
Probe probe_helper();

std::unique_ptr<AheadLease> helper_ahead(const ExposerOptions& options, const AheadRequest& request,
                                         Deadline deadline);

extern const PathDriver kHelperPath;

}  // namespace hostnet::exposer
