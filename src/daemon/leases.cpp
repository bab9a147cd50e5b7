// The table of leases.
#include "daemon/leases.hpp"

#include "core/log.hpp"
#include "daemon/bus_error.hpp"
#include "daemon/guard.hpp"
#include "dbus/names.hpp"

#include <algorithm>
#include <utility>

namespace hostnet::daemon {

using state::Lifetime;

Leases::Leases(sdbus::IConnection& connection, const Works& works, Callbacks callbacks)
    : connection_(connection),
      works_(works),
      callbacks_(std::move(callbacks)),
      counters_(*works_.looks),
      listeners_(
          *works_.looks,
          [this](const auto& visit) {
            for (const auto& [id, lease] : leases_) visit(lease->held_lease());
          },
          [this](const std::string& id, const char* reason) { end(id, reason); }) {}

const LeaseObject& Leases::add(HeldLease held_lease) {
  const auto id = held_lease.lease.id;
  held_lease.first_look = listeners_.next_look();
  auto lease = std::make_unique<LeaseObject>(
      connection_, std::move(held_lease),
      LeaseObject::Callbacks{.release = callbacks_.release, .counters = [this](const HeldLease& of) {
                               return counters_.of(of.lease, of.interface, of.granted);
                             }});
  const auto& added = *leases_.emplace(id, std::move(lease)).first->second;
  return added;
}

const LeaseObject* Leases::find(const std::string& id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : found->second.get();
}

void Leases::end(const std::string& id, const char* reason, Done done) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) {
    if (done) done(nullptr);
    return;
  }
  auto& held_lease = found->second->held_lease();
  if (done) held_lease.ending.waiting.push_back(std::move(done));
  if (held_lease.ending.reason != nullptr) return;
  held_lease.ending.reason = reason;
  works_.changes->run(
      alive_, [exposure = held_lease.exposure] { exposure->release(); },
      [this, id](Outcome<void>& outcome) {
        const auto lease = leases_.find(id);
        if (lease == leases_.end()) return;  // the holder ended it first
        if (!outcome.thrown())
          return remove(id, ExposureState::released, lease->second->held_lease().ending.reason);
        log::error("lease {}: {}", id, bus_error(outcome.thrown()).getMessage());
        auto& ending = lease->second->held_lease().ending;
        ending.failed = std::exchange(ending.reason, nullptr);
        for (const auto& waiting : std::exchange(ending.waiting, {})) waiting(outcome.thrown());
      });
}

// Announces the end, then calls those that wait for it.
void Leases::remove(const std::string& id, ExposureState state, const std::string& reason) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  const auto lease = std::move(found->second);
  leases_.erase(found);
  log::info("lease {} ends: {}", id, reason);
  guarded("the end of a lease", [&] {
    lease->announce(state);
    callbacks_.released(lease->path(), reason);
  });
  for (const auto& waiting : lease->held_lease().ending.waiting) waiting(nullptr);
}

void Leases::ended(const exposer::Ended& ended) {
  const auto found = leases_.find(ended.lease);
  if (found == leases_.end()) {
    if (expected_ > 0) early_.insert_or_assign(ended.lease, ended);
    return;
  }
  // A release that is under way, or failed before, keeps its reason.
  const auto& ending = found->second->held_lease().ending;
  const auto* const asked = ending.reason != nullptr ? ending.reason : ending.failed;
  const bool by_us = ended.cause == exposer::Cause::interrupted || ended.cause == exposer::Cause::owner_gone;
  remove(ended.lease, ended.state(), asked != nullptr && by_us ? asked : reason_of(ended.cause));
}

void Leases::owner_left(const std::string& name) {
  std::vector<std::string> theirs;
  for (const auto& [id, lease] : leases_) {
    auto& held_lease = lease->held_lease();
    if (held_lease.lease.owner.lifetime != Lifetime::connection || held_lease.owner != name) continue;
    // With the lock released, the next reader of the journal finishes the lease if this daemon cannot.
    held_lease.keepalive.reset();
    theirs.push_back(id);
  }
  for (const auto& id : theirs) end(id, dbus::reason::kOwnerGone);
}

void Leases::expect(bool more) {
  expected_ += more ? 1 : -1;
  for (const auto& [id, one] : std::exchange(early_, {})) ended(one);
}

std::optional<Leases::Clock::time_point> Leases::tick(Clock::time_point now) {
  if (leases_.empty()) return std::nullopt;
  const auto counters = counters_.tick(now);
  return std::min(counters, listeners_.tick(now).value_or(counters));
}

void Leases::stop() {
  std::vector<std::string> ids;
  for (const auto& [id, lease] : leases_)
    if (lease->held_lease().lease.owner.lifetime != Lifetime::persistent) ids.push_back(id);
  for (const auto& id : ids) {
    ++stops_;
    end(id, dbus::reason::kDaemonStopping, [this](const std::exception_ptr&) { --stops_; });
  }
}

void Leases::let_go() {
  for (const auto& [id, lease] : leases_) {
    if (lease->held_lease().lease.owner.lifetime == Lifetime::connection) continue;
    works_.changes->post([holder = works_.holder, id = id] {
      holder->let_go(id);
      return Inbox::Letter();
    });
  }
}

}  // namespace hostnet::daemon
