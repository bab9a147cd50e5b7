// From a request to a lease in effect: what a worker does of it.
//
// Between the first look and the grant polkit may have been asked for minutes, so that everything that was
// judged before is judged anew, right before the lease is made: the network must be the same
// (NetworkChanged), and the listeners must not take more than was granted.
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

/// What a request is judged by.
struct Sight {
  Network network;
  ListenerUids listeners;
};

/// Waits for the kernel. @throws Error as judge().
Sight look(const Request& request, const std::vector<std::string>& allowed);

/// All that it takes to make the lease, as values of its own.
struct Grant {
  Method method;
  Caller caller;
  Request request;
  Network network;  ///< As it was judged first.
  std::optional<Action> granted;
  std::shared_ptr<const std::atomic<bool>> left;  ///< Set when nobody waits for the lease any more.
};

/// A lease that is held, and what goes with it.
struct Held {
  state::Lease lease;
  std::string interface;
  std::shared_ptr<Exposure> exposure;
  Fd keepalive;            ///< The lock that its life is bound to.
  ListenerUids listeners;  ///< Who listened when it was granted.
};

/// An exposure whose last owner has `changes` release it, if that has not been done.
std::shared_ptr<Exposure> keep(Exposure exposure, std::shared_ptr<Worker> changes);

/// For `changes`: waits for the firewall. A lease for which nobody waits any more is released before it
/// returns. @throws Error, sdbus::Error: what the caller is answered.
Held hold(const Grant& grant, exposer::Holder& holder, const std::vector<std::string>& allowed,
          const std::shared_ptr<Worker>& changes);

}  // namespace hostnet::daemon
