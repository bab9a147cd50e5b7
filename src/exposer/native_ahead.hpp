// Leases ahead on the native path; exposer/ahead.hpp tells how.
#pragma once

#include "exposer/ahead.hpp"

#include <memory>

namespace hostnet::exposer {

/// @throws Error as Exposer::expose_all().
std::unique_ptr<AheadLease> native_ahead(const ExposerOptions& options, const AheadRequest& request,
                                         Deadline deadline);

/// Whether it is a network of Podman's here of which there is no bridge yet, but will be with its first
/// container. @throws Error.
bool bridge_will_come(engine::Client& client, const engine::Network& network, Deadline deadline);

}  // namespace hostnet::exposer
