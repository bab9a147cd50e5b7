// Runs the steps of a transition against the kernel.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "firewall/backend.hpp"
#include "netlink/link.hpp"
#include "path/native/transition.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// In the network namespace of the thread that made it. Not thread-safe.
class Executor {
 public:
  /// Leads the kernel from one state to another, by no more than what differs where it is known that the
  /// first one stands; equal ones put right whatever others have undone. Stops at the first failure. Returns
  /// whether anything had to change. @throws Error in the context of the step.
  bool lead(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline);
  /// The same as run_all() does it.
  Failures lead_all(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline);

  /// Runs the steps in order and stops at the first failure: what follows a failed step may rely on it.
  /// Returns whether anything had to change.
  /// @throws Error in the context of the step.
  bool run(const std::vector<Step>& steps, Deadline deadline);

  /// Runs every step whatever fails on the way, for tear-down; only the guard stays when route_localnet could
  /// not be switched off, and that is not switched on when the guard does not stand. Returns the failures,
  /// one line each.
  Failures run_all(const std::vector<Step>& steps, Deadline deadline);

  /// Called before each step, by tests that want to stop at one; the steps' number counts from 0 in each run.
  using Hook = std::function<void(const Step&)>;
  void set_hook(Hook hook) { hook_ = std::move(hook); }

  netlink::Rtnl& rtnl() { return rtnl_; }

  /// From now on the rules go into this one; not `automatic`.
  void use(Firewall kind) {
    if (backend_->kind() == kind) return;
    backend_ = firewall::make_backend(kind);
    standing_.reset();
  }
  /// ip_tables, until use() says otherwise.
  firewall::Backend& backend() { return *backend_; }

 private:
  std::optional<bool> lead_shortly(const state::Snapshot& before, const state::Snapshot& after,
                                   Deadline deadline);
  bool apply(const ChangeForwards& step, Deadline deadline);
  bool apply(const ApplyTable& step, Deadline deadline);
  bool apply(const ApplyBindings& step, Deadline deadline);
  bool apply(const CutFlows& step, Deadline deadline);
  bool apply(const SetRouteLocalnet& step, Deadline deadline);

  netlink::Rtnl rtnl_;
  std::unique_ptr<firewall::Backend> backend_ = firewall::make_backend(Firewall::iptables);
  std::optional<state::Snapshot>
      standing_;  // what all steps have been run for, as long as backend_ is as left
  Hook hook_;
};

}  // namespace hostnet::exposer
