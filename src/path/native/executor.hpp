// Runs the steps of a transition against the kernel.
//
//   lead() and lead_all() run     when
//   small_transition()            the kernel is as the last run left it (standing_ is `before`, no other
//                                 program touched the rules) and the change is small
//   transition(): every step      otherwise, or if the small one fails; every step is idempotent
//
//   event                                    lead(), run()     lead_all(), run_all()
//   a step fails                             stop, throw       run the other steps, collect failures
//   route_localnet cannot be switched off    stop, throw       keep the guard
//   the guard cannot be set up               stop, throw       do not switch route_localnet on
//   the bridge of a held lease is gone       no failure        no failure
//   flows remain through a closed forward    cut them in up to 3 looks (kLooks), each after 2 ms (kUnderWay),
//                                            none after the deadline
//
// The caller's deadline bounds each step. The caller holds the journal's lock, except in LeaseStore::close().
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

/// Works in the network namespace of the thread that made it. Not thread-safe.
class Executor {
 public:
  /// Leads the kernel from `before` to `after`. Equal snapshots repair what others have changed. Stops at the
  /// first failure. Returns whether anything changed. @throws Error in the context of the step.
  bool lead(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline);
  /// As lead(), but runs every step, like run_all().
  Failures lead_all(const state::Snapshot& before, const state::Snapshot& after, Deadline deadline);

  /// Runs the steps in order and stops at the first failure, because a later step may rely on it. Returns
  /// whether anything changed. @throws Error in the context of the step.
  bool run(const std::vector<Step>& steps, Deadline deadline);

  /// Runs every step, for tear-down, with the two exceptions in the table. Returns the failures, one line
  /// each.
  Failures run_all(const std::vector<Step>& steps, Deadline deadline);

  /// Called before each step, so that a test can stop at one.
  using Hook = std::function<void(const Step&)>;
  void set_hook(Hook hook) { hook_ = std::move(hook); }

  netlink::Rtnl& rtnl() { return rtnl_; }

  /// Selects the firewall for the rules; not `automatic`.
  void use(Firewall kind) {
    if (backend_->kind() == kind) return;
    backend_ = firewall::make_backend(kind);
    standing_.reset();
  }
  /// ip_tables until use() selects another.
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
      standing_;  // put into effect by the last run; valid while backend_ is as left
  Hook hook_;
};

}  // namespace hostnet::exposer
