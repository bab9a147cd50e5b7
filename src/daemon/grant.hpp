// From a request to an active lease: the part that runs in a worker.
//
// polkit may take minutes between the first look and the grant. So hold() checks everything again right
// before it makes the lease: the network must be the same (NetworkChanged), and the listeners must not
// require more than polkit granted.
#pragma once

#include "core/fd.hpp"
#include "daemon/bouncer.hpp"
#include "daemon/network.hpp"
#include "daemon/worker.hpp"
#include "hostnet/exposure.hpp"
#include "lease/lease.hpp"
#include "path/native/holder.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The facts that decide a request.
struct Sight {
  Network network;
  ListenerUids listeners;
};

/// Blocks on the kernel. @throws Error as judge().
Sight look(const Request& request, const std::vector<std::string>& allowed);

/// Everything needed to make the lease, copied for the worker.
struct Grant {
  Method method;
  Caller caller;
  Request request;
  Network network;  ///< As first judged.
  std::optional<Action> granted;
  std::shared_ptr<const std::atomic<bool>> left;  ///< Set when the caller has left the bus.
};

/// An active lease and its parts.
struct Held {
  state::Lease lease;
  std::string interface;
  std::shared_ptr<Exposure> exposure;
  Fd keepalive;            ///< The lock that the lease's lifetime is bound to.
  ListenerUids listeners;  ///< The listeners at the time of the grant.
};

/// Wraps an exposure: when the last owner drops it, `changes` releases it unless it is already released.
std::shared_ptr<Exposure> keep(Exposure exposure, std::shared_ptr<Worker> changes);

/// Runs in `changes`: blocks on the firewall. Releases the lease again before it returns when the caller has
/// left meanwhile. @throws Error, sdbus::Error: the caller's answer.
Held hold(const Grant& grant, exposer::Holder& holder, const std::vector<std::string>& allowed,
          const std::shared_ptr<Worker>& changes);

}  // namespace hostnet::daemon
