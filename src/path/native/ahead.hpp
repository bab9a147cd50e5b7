// Leases ahead on the native path; path/ahead.hpp explains them.
#pragma once

#include "path/ahead.hpp"

#include <memory>

namespace hostnet::exposer {

/// @throws Error as Exposer::expose_all().
std::unique_ptr<AheadLease> native_ahead(const ExposerOptions& options, const AheadRequest& request,
                                         Deadline deadline);

}  // namespace hostnet::exposer
