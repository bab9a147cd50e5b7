// A lease for one container that does not run yet, so that its ports are reachable from its first instruction
// on.
//
// The difficulty is that a lease is for one container, and that an engine gives a container its address only
// when it starts it. By ssh the tunnel stands, and who comes by it is kept waiting until the address is
// known. On the native path the container is created with an Ethernet address of our choice, 46 random bits,
// and the forward is for that one; once the container runs, the forward is for its IP address as well, as any
// lease for a container is. Podman makes the bridge of a network with its first container only, so that there
// may be no interface yet on which a forward could stand; but Podman starts a container in two steps, and
// between them there are bridge and address: then the forward is made. The helper makes a forward for an
// Ethernet address as well, and leaves it so. Whoever has no such way exposes when the container has just
// been started.
#pragma once

#include "core/deadline.hpp"
#include "core/mac.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// A lease in the making. Used by one thread. Destroyed with its exposure still in it, it releases that.
class AheadLease {
 public:
  AheadLease() = default;
  AheadLease(const AheadLease&) = delete;
  AheadLease& operator=(const AheadLease&) = delete;
  virtual ~AheadLease() = default;

  /// To be called when the container has been initialised, where wants_init.
  virtual void initialised(const engine::Container&, Deadline) {}
  /// To be called when it runs. @throws Error: no_path where the container cannot be served by this path
  /// after all, and as Exposer::expose_all().
  virtual void started(const engine::Container& container, Deadline deadline) = 0;

  std::string
      gateway;  ///< What the container's hosts file shall say; empty: this lease writes it there later.
  std::optional<Mac> mac;  ///< The container must be created with it.
  bool wants_init =
      false;          ///< Between create and start the engine's init is to be called, and initialised().
  Exposure exposure;  ///< Holds something once the path is ready.

 protected:
  /// @throws Error: no_path when the engine did not give the container the address that was asked for.
  void check_mac(const engine::Container& container) const;
};

struct AheadRequest {
  std::string network;  ///< Name; the container will be on it and on no other.
  std::vector<HostPort> ports;
};

}  // namespace hostnet::exposer
