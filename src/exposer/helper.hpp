// The helper path: the native path's rules, made by tc-hostnetd for somebody who is not root.
#pragma once

#include "hostnet/exposer.hpp"

#include <memory>

namespace hostnet::exposer {

/// Makes the exposer. Asks nobody anything yet.
std::unique_ptr<Exposer> make_helper(const ExposerOptions& options);

/// Whether the helper is on the system bus or would be started by a call. Starts nothing.
Probe probe_helper();

}  // namespace hostnet::exposer
