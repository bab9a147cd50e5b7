// Finds the leases that ended without their owner's request, and why. Changes nothing; Transaction::reap()
// ends them.
#pragma once

#include "hostnet/exposure.hpp"
#include "lease/snapshot.hpp"
#include "netlink/link.hpp"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Why a lease ended without its owner's request.
enum class Cause {
  owner_gone,         ///< The process died, or the last duplicate of the descriptor was closed.
  interrupted,        ///< A process was killed while releasing it.
  expired,            ///< Its timeout has passed.
  bridge_gone,        ///< The interface was removed.
  container_stopped,  ///< Its one container stopped or left the bridge.
  revoked,            ///< Another process released it.
  not_kept,           ///< Repair failed.
};

/// A lease that ended without its owner's request.
struct Ended {
  std::string lease;
  Cause cause;
  std::string reason;  ///< "its owner is gone", "its time is up", "bridge br0 is gone"

  /// `failed` if the bridge is gone or repair failed, else `released`.
  [[nodiscard]] ExposureState state() const {
    return cause == Cause::bridge_gone || cause == Cause::not_kept ? ExposureState::failed
                                                                   : ExposureState::released;
  }
};

/// Leases whose bridge is gone. @throws Error.
std::vector<Ended> without_bridge(const state::Snapshot& held, netlink::Rtnl& rtnl);

/// Leases bound to a port that is no longer on the bridge: the container stopped, left the bridge or has a
/// new port. Their bindings would block the next container with that address from the gateway. @throws Error.
std::vector<Ended> without_port(const state::Snapshot& held, netlink::Rtnl& rtnl);

/// Leases that are half released, expired, or have a dead owner. `folder` is the journal's; the owners of
/// leases in `watched` are not checked. @throws Error.
std::vector<Ended> without_owner(const state::Snapshot& held, const std::filesystem::path& folder,
                                 const std::set<std::string>& watched);

/// Leases of one container that stopped: another container may get its address. Checks only the leases in
/// `ours`, because the container of another process's lease may be in another pid namespace.
std::set<std::string> of_stopped_containers(const state::Snapshot& held, const std::set<std::string>& ours);

}  // namespace hostnet::exposer
