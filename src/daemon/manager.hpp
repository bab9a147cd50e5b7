// The object that answers Expose(): from a message to a lease.
//
// A request goes: read → look → decide → ask polkit → look and decide again → hold. Nothing of it waits in
// this thread: polkit's answer is a callback, and looking and holding are jobs of the workers, whose results
// come by the Inbox. In between, the caller may leave, the daemon may be told to stop, and others are served.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/callers.hpp"
#include "daemon/calls.hpp"
#include "daemon/config.hpp"
#include "daemon/leases.hpp"
#include "daemon/quota.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// Not thread-safe: on the connection's loop.
class Manager final : public sdbus::AdaptorInterfaces<io::github::tchostnet::HostNet1::Manager_adaptor,
                                                      sdbus::ObjectManager_adaptor> {
 public:
  using Clock = Leases::Clock;

  /// @throws sdbus::Error.
  Manager(sdbus::IConnection& connection, const Works& works, const Config& config);
  ~Manager();

  /// Takes on the leases that have outlived an earlier daemon, or connection: is_ready() when that is done.
  void adopt();
  /// @throws Error: why they cannot be taken on.
  [[nodiscard]] bool is_ready() const;

  /// The holder's news, brought to the loop.
  void ended(const exposer::Ended& ended) { leases_.ended(ended); }
  /// Does what is due. Returns when there is more; nullopt: not before something happens.
  std::optional<Clock::time_point> tick(Clock::time_point now) { return leases_.tick(now); }

  /// Refuses calls from now on, and has all but the persistent leases released, saying that the daemon stops.
  void stop();
  [[nodiscard]] bool has_stopped() const noexcept { return leases_.has_stopped(); }
  /// Lets the leases stand that live by a descriptor or by nothing, for the next daemon or connection to take
  /// on.
  void let_go() { leases_.let_go(); }

  [[nodiscard]] bool is_idle() const noexcept { return leases_.empty() && calls_.empty(); }
  /// How many methods have been called.
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
