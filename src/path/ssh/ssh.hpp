// The ssh path: an sshd sidecar on the target's network, and a reverse tunnel into it.
#pragma once

#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "path/path.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// A lease for one container that is about to be started: its ports are ready before it starts.
struct SshLeaseAhead {
  Exposure exposure;  ///< gateway() is the address for the alias in the container.
  /// Call it with the running container; until then the lease serves no connection.
  /// @throws Error{not_found} for one without an IPv4 address.
  std::function<void(const engine::Container&)> serve;
};

/// @throws Error as expose_all().
SshLeaseAhead expose_ahead(const ExposerOptions& options, const std::string& network,
                           std::vector<HostPort> ports);

/// Makes the ssh exposer without calling the engine. @throws Error as engine::Address::find().
std::unique_ptr<Exposer> make_ssh(const ExposerOptions& options);

/// Whether the ssh path can work here: an engine's socket that this process may open. Changes nothing.
/// `engine` as in ExposerOptions.
Probe probe_ssh(const std::string& engine);

std::unique_ptr<AheadLease> ssh_ahead(const ExposerOptions& options, const AheadRequest& request,
                                      Deadline deadline);

extern const PathDriver kSshPath;

}  // namespace hostnet::exposer
