// The leases on the bus, from their grant to their end.
//
//   state      event                                next
//   –          add()                                active
//   active     end(): a release is posted           releasing
//   active     ended(): the holder ended the lease  gone, announced
//   releasing  the release succeeds                 gone, announced
//   releasing  ended(): the holder was faster       gone, announced; the release's reason counts unless the
//                                                   holder had another cause
//   releasing  the release fails                    active on the bus, marked in the journal; the holder
//                                                   tries again and reports the end with ended()
//
// A lease ends once. A second end() of a lease that is being released waits for that release.
#pragma once

#include "daemon/counters.hpp"
#include "daemon/grant.hpp"
#include "daemon/lease_object.hpp"
#include "daemon/listener_watch.hpp"
#include "daemon/sdbus.hpp"
#include "daemon/worker.hpp"

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The threads and what they work on. Outlives every Leases.
struct Works {
  std::shared_ptr<exposer::Holder> holder;
  std::shared_ptr<Worker> changes;
  std::shared_ptr<Worker> looks;
};

/// Not thread-safe: use on the connection's loop.
class Leases {
 public:
  using Clock = std::chrono::steady_clock;
  /// Called with nullptr, or with the reason why the lease has not ended.
  using Done = std::function<void(const std::exception_ptr&)>;

  struct Callbacks {
    std::function<void(const LeaseObject&, const sdbus::Message&, LeaseObject::ReleaseCall&&)> release;
    std::function<void(const sdbus::ObjectPath&, const std::string& reason)> released;
  };

  Leases(sdbus::IConnection& connection, const Works& works, Callbacks callbacks);
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  /// Creates the object. `owner` is empty for a lease that outlived an earlier daemon.
  const LeaseObject& add(HeldLease held_lease);

  [[nodiscard]] const LeaseObject* find(const std::string& id) const;
  [[nodiscard]] bool empty() const noexcept { return leases_.empty(); }

  /// Starts the release, with that reason. Calls `done` when it succeeds or fails.
  void end(const std::string& id, const char* reason, Done done = {});
  /// Handles the holder's report that a lease ended, also of a lease that is not added yet.
  void ended(const exposer::Ended& ended);
  /// Ends the leases bound to a connection that has left.
  void owner_left(const std::string& name);
  /// Counts leases that a worker is making: true when one starts, false when it is done.
  void expect(bool more);

  /// Does what is due. Returns the next due time; nullopt: none until something happens.
  std::optional<Clock::time_point> tick(Clock::time_point now);

  /// Ends all leases except persistent ones.
  void stop();
  [[nodiscard]] bool has_stopped() const noexcept { return stops_ == 0; }
  /// Keeps leases with lifetime descriptor or persistent, for the next daemon or connection to adopt.
  void let_go();

 private:
  void remove(const std::string& id, ExposureState state, const std::string& reason);

  sdbus::IConnection& connection_;
  Works works_;
  Callbacks callbacks_;
  Counters counters_;
  ListenerWatch listeners_;
  std::map<std::string, std::unique_ptr<LeaseObject>> leases_;
  int expected_ = 0;
  std::map<std::string, exposer::Ended> early_;  // ended before they were added
  int stops_ = 0;                                // releases that stop() waits for
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
