// The ssh path: an sshd sidecar on the target's network, and a reverse tunnel into it.
#pragma once

#include "hostnet/exposer.hpp"

#include <memory>

namespace hostnet::exposer {

/// Makes the ssh exposer. Asks nobody anything yet. @throws Error as engine::Address::find().
std::unique_ptr<Exposer> make_ssh(const ExposerOptions& options);

/// Whether the ssh path can work here: an engine's socket that this process may open. Changes nothing.
/// `engine` as in ExposerOptions.
Probe probe_ssh(const std::string& engine);

}  // namespace hostnet::exposer
