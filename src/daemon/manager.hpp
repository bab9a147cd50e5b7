// The Manager object: turns an Expose() message into a lease.
//
//   state     event                                 next
//   –         Expose(): valid, within the quota     looking: job for the worker `looks`
//   looking   network and listeners found           authorise(): allow → holding, ask → asking
//   asking    polkit grants                         holding: job for the worker `changes`, which looks and
//                                                   authorises again and then makes the lease
//   holding   the worker has made the lease         lease object added, caller answered
//   any       a step throws, the caller leaves,     see calls.hpp; a lease made meanwhile is released
//             or the daemon stops
//
//   adopting  leases adopted                        is_ready() returns true
//   adopting  adopting fails                        is_ready() throws
//   running   stop()                                calls are refused; all but persistent leases are released
//
//   Timeouts: 10 s to hold (kHoldDeadline in grant.cpp), 10 s to adopt (kAdoptDeadline), 10 minutes for
//   polkit (bouncer.cpp).
//
// Nothing here blocks the bus thread: polkit's answer is a callback, looking and holding are jobs of the
// workers, and their results come through the Inbox. Meanwhile the loop serves other callers.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/callers.hpp"
#include "daemon/calls.hpp"
#include "daemon/config.hpp"
#include "daemon/leases.hpp"
#include "daemon/quota.hpp"
#include "daemon/sdbus.hpp"

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// Not thread-safe: use on the connection's loop.
class Manager final : public sdbus::AdaptorInterfaces<io::github::tchostnet::HostNet1::Manager_adaptor,
                                                      sdbus::ObjectManager_adaptor> {
 public:
  using Clock = Leases::Clock;

  /// @throws sdbus::Error.
  Manager(sdbus::IConnection& connection, const Works& works, const Config& config);
  ~Manager();

  /// Adopts the leases that outlived an earlier daemon or connection. is_ready() tells when that is done.
  void adopt();
  /// @throws Error: why adopting failed.
  [[nodiscard]] bool is_ready() const;

  /// Handles the holder's report that a lease ended. On the loop.
  void ended(const exposer::Ended& ended) { leases_.ended(ended); }
  /// Does what is due. Returns the next due time; nullopt: none until something happens.
  std::optional<Clock::time_point> tick(Clock::time_point now) { return leases_.tick(now); }

  /// Refuses further calls and releases all but persistent leases, with reason daemon-stopping.
  void stop();
  [[nodiscard]] bool has_stopped() const noexcept { return leases_.has_stopped(); }
  /// Keeps leases with lifetime descriptor or persistent, for the next daemon or connection to adopt.
  void let_go() { leases_.let_go(); }

  [[nodiscard]] bool is_idle() const noexcept { return leases_.empty() && calls_.empty(); }
  /// The number of method calls so far.
  [[nodiscard]] std::uint64_t calls() const noexcept { return calls_.count(); }

 private:
  using ExposeResult = sdbus::Result<sdbus::ObjectPath, sdbus::UnixFd>;
  using ProbeResult = sdbus::Result<std::map<std::string, sdbus::Variant>>;
  struct Exposing;

  void Expose(ExposeResult&& result, std::int32_t ifindex, PortList ports, Options options) override;
  void Probe(ProbeResult&& result, std::int32_t ifindex) override;
  std::string Version() override;
  std::vector<std::string> Features() override;

  void open(const sdbus::Message& message, std::function<void(const sdbus::Error&)> fail,
            const std::function<void(const std::shared_ptr<Call>&)>& first);
  void look_for(const std::shared_ptr<Exposing>& exposing);
  void hold_for(const std::shared_ptr<Exposing>& exposing);
  void grant(Exposing& exposing, Held held);
  void release(const LeaseObject& lease, const sdbus::Message& message, LeaseObject::ReleaseCall&& result);
  void take_on(exposer::Holder::Adopted adopted);

  Works works_;
  const Config& config_;
  Bouncer bouncer_;
  Quota quota_;
  Calls calls_;
  Leases leases_;
  Callers callers_;
  bool stopping_ = false;
  bool ready_ = false;
  std::exception_ptr adoption_failed_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace hostnet::daemon
