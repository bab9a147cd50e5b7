// Leases that are over without their owners' doing: which, and why. Only looks; Transaction::reap() ends them.
#pragma once

#include "hostnet/exposure.hpp"
#include "lease/snapshot.hpp"
#include "netlink/link.hpp"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Why a lease ended without its owner's doing.
enum class Cause {
  owner_gone,         ///< The process died, or the last duplicate of the descriptor was closed.
  interrupted,        ///< Somebody was killed while releasing it.
  expired,            ///< Its time was up.
  bridge_gone,        ///< The interface was removed.
  container_stopped,  ///< The one container that it was for, or it has left the bridge.
  revoked,            ///< Another process released it.
  not_kept,           ///< What others had undone could not be put back.
};

/// A lease that ended without its owner's doing.
struct Ended {
  std::string lease;
  Cause cause;
  std::string reason;  ///< "its owner is gone", "its time is up", "bridge br0 is gone"

  /// `failed` when it could not be kept, else `released`.
  [[nodiscard]] ExposureState state() const {
    return cause == Cause::bridge_gone || cause == Cause::not_kept ? ExposureState::failed
                                                                   : ExposureState::released;
  }
};

/// Those whose bridge is gone. @throws Error.
std::vector<Ended> without_bridge(const state::Snapshot& held, netlink::Rtnl& rtnl);

/// Those that are pinned to a port that is not on the bridge any more: the container has stopped, has left the
/// bridge, or is on it by another port. Their bindings would keep the next container that gets the address
/// from the gateway. @throws Error.
std::vector<Ended> without_port(const state::Snapshot& held, netlink::Rtnl& rtnl);

/// Those that are half released, whose owner is dead or whose time is up. `folder` is the journal's; the
/// owners of the leases `watched` are not looked at. @throws Error.
std::vector<Ended> without_owner(const state::Snapshot& held, const std::filesystem::path& folder,
                                 const std::set<std::string>& watched);

/// Those for one container that has stopped: its address may be given to another. Only of the leases `ours`:
/// the container of another process's lease may run in another pid namespace.
std::set<std::string> of_stopped_containers(const state::Snapshot& held, const std::set<std::string>& ours);

}  // namespace hostnet::exposer
