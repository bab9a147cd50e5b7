// What a lease is told of the engine's events: containers that come to its network or leave it, and the end of its own.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

namespace hostnet::exposer {

/// Also a base of a lease's implementation (exposure_impl.hpp), if its path writes names into hosts files.
class JoinedNames {
 public:
  virtual ~JoinedNames() = default;
  /// Writes the alias into one more running container of the lease's network, or again after a restart or when the
  /// engine may have written its hosts file anew, and removes it with the lease. Does nothing once the lease has ended. @throws Error.
  virtual void take_in(const engine::Container& container, Deadline deadline) = 0;
  /// Removes the alias from a running container that has left the lease's network. Does nothing if the lease has not
  /// written it there. @throws Error.
  virtual void let_go(const engine::Container& container, Deadline deadline) = 0;
  /// Its container may have ended: a lease that looks in periods looks now. Does not wait.
  virtual void look_now() noexcept {}
};

}  // namespace hostnet::exposer
