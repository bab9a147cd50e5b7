// A lease for one container before its start, so that the container reaches its ports from its first
// instruction.
//
// A lease is for one container, but an engine gives a container its address only at the start. Each path
// solves this in its way:
//
//   path     before the start                           after the start
//   ssh      the tunnel is up; it holds connections     the address is known; the tunnel checks it
//   native   the container gets an Ethernet address     the forward is also for the IP address, as for any
//            of our choice (46 random bits), and the    lease of a container
//            forward is for that address
//   native,  Podman creates a network's bridge only     as above
//   Podman   with its first container, but starts a
//            container in two steps; between them the
//            bridge and the address exist, and the
//            forward is set up
//   helper   a forward for the Ethernet address         unchanged
//   others   nothing                                    the path exposes right after the start
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

/// A lease in preparation. Used by one thread. Its destructor releases an exposure that is still in it.
class AheadLease {
 public:
  AheadLease() = default;
  AheadLease(const AheadLease&) = delete;
  AheadLease& operator=(const AheadLease&) = delete;
  virtual ~AheadLease() = default;

  /// Call after the container's init, if wants_init.
  virtual void initialised(const engine::Container&, Deadline) {}
  /// Call when the container runs. @throws Error: no_path if this path cannot serve the container after all,
  /// and as Exposer::expose_all().
  virtual void started(const engine::Container& container, Deadline deadline) = 0;

  std::string gateway;      ///< For the container's hosts file; empty: this lease writes it later.
  std::optional<Mac> mac;   ///< Create the container with it.
  bool wants_init = false;  ///< Call the engine's init between create and start, then initialised().
  Exposure exposure;        ///< Set once the path is ready.

 protected:
  /// @throws Error: no_path if the engine did not give the container the requested Ethernet address.
  void check_mac(const engine::Container& container) const;
};

struct AheadRequest {
  std::string network;  ///< Name of the container's only network.
  std::vector<HostPort> ports;
};

/// Looks at a container that was started, and calls lease.started() unless it has ended, which also may be while that
/// works: then the lease is released, and that is no error. Returns what the container was when looked at.
/// @throws Error: as AheadLease::started() and engine::Client::container().
engine::Container tell_started(AheadLease& lease, engine::Client& client, const std::string& id,
                               Deadline deadline);

}  // namespace hostnet::exposer
