// The leases on the bus: their beginning, and their end, whoever asks for it.
//
//   (granted) add → active → end: a worker releases it → gone, announced
//                          → ended: the holder has ended it → gone, announced
//
// A lease ends once. Who asks for the end of one that is being released waits for that; what the holder says
// meanwhile counts. A release that fails leaves the lease as it was for the bus, and marked in the journal:
// the holder tries again, and tells of the end.
#pragma once

#include "daemon/counters.hpp"
#include "daemon/grant.hpp"
#include "daemon/lease_object.hpp"
#include "daemon/listener_watch.hpp"
#include "daemon/worker.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The threads and what they work at. Outlives every Leases.
struct Works {
  std::shared_ptr<exposer::Holder> holder;
  std::shared_ptr<Worker> changes;
  std::shared_ptr<Worker> looks;
};

/// Not thread-safe: on the connection's loop.
class Leases {
 public:
  using Clock = std::chrono::steady_clock;
  /// nullptr, or why the lease has not ended.
  using Done = std::function<void(const std::exception_ptr&)>;

  struct Callbacks {
    std::function<void(const LeaseObject&, const sdbus::Message&, LeaseObject::ReleaseCall&&)> release;
    std::function<void(const sdbus::ObjectPath&, const std::string& reason)> released;
  };

  Leases(sdbus::IConnection& connection, const Works& works, Callbacks callbacks);
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  /// Makes the object. `owner` is empty for a lease that has outlived a daemon.
  const LeaseObject& add(HeldLease held_lease);

  [[nodiscard]] const LeaseObject* find(const std::string& id) const;
  [[nodiscard]] bool empty() const noexcept { return leases_.empty(); }

  /// Has it released, as `reason` says. `done` is called when that is over, or failed.
  void end(const std::string& id, const char* reason, Done done = {});
  /// The holder has ended it. Also of one that is still to be added.
  void ended(const exposer::Ended& ended);
  /// A connection has ended, and with it the leases that are bound to it.
  void owner_left(const std::string& name);
  /// A lease is being held, or is not any more.
  void expect(bool more);

  /// Does what is due. Returns when there is more; nullopt: not before something happens.
  std::optional<Clock::time_point> tick(Clock::time_point now);

  /// Ends all but the persistent ones.
  void stop();
  [[nodiscard]] bool has_stopped() const noexcept { return stops_ == 0; }
  /// Lets those stand that live by a descriptor or by nothing, for the next daemon or connection to take on.
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
  std::map<std::string, exposer::Ended> early_;  // of leases that are not added yet
  int stops_ = 0;                                // releases that stop() waits for
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
