// Containers that come to a network while a lease for it stands.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Also a base of a lease's implementation (exposure_impl.hpp), if its path writes names into hosts files.
class JoinedNames {
 public:
  virtual ~JoinedNames() = default;
  /// Writes the alias into one more running container of the lease's network, or again after a restart, and
  /// removes it with the lease. Does nothing once the lease has ended. @throws Error.
  virtual void take_in(const engine::Container& container, Deadline deadline) = 0;
};

}  // namespace hostnet::exposer
