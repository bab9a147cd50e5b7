// The object that answers Expose(): from a message to a lease.
//
// A request goes: read → look → decide → ask polkit → look and decide again → hold. Between asking and the
// answer anything may have happened, so everything that was judged before is judged anew: the network must be
// the same (NetworkChanged), the listeners must not need more than was granted, the caller must still be
// there. Nobody waits for another's prompt, since nothing here waits for polkit.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/config.hpp"
#include "daemon/decision_log.hpp"
#include "daemon/lease_object.hpp"
#include "daemon/network.hpp"
#include "exposer/holder.hpp"
#include "firewall/traffic.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// Not thread-safe: on the connection's loop, in whose thread the holder's network namespace is.
class Manager final : public sdbus::AdaptorInterfaces<io::github::tchostnet::HostNet1::Manager_adaptor,
                                                      sdbus::ObjectManager_adaptor> {
 public:
  /// Takes on the leases that have outlived an earlier daemon. @throws Error, sdbus::Error.
  Manager(sdbus::IConnection& connection, std::shared_ptr<exposer::Holder> holder, const Config& config);
  ~Manager();

  /// The holder's news, brought to the loop.
  void ended(const exposer::Ended& ended);
  /// What has to be looked at from time to time: listeners that leases are bound to.
  void look_around();
  /// Frees what could not be freed while its own method was running, and forgets what was read for it. After
  /// each message.
  void tidy();
  /// Releases all but the persistent leases, saying that the daemon stops.
  void stop();
  /// Lets the leases stand that live by a descriptor or by nothing, for the next daemon or connection to take
  /// on.
  void let_go();

  [[nodiscard]] bool idle() const noexcept { return leases_.empty() && waiting_.empty(); }

 private:
  using ExposeCall = sdbus::Result<sdbus::ObjectPath, sdbus::UnixFd>;
  using ReleaseCall = LeaseObject::ReleaseCall;
  struct Waiting;

  void Expose(ExposeCall&& result, std::int32_t ifindex, PortList ports, Options options) override;
  std::map<std::string, sdbus::Variant> Probe(const std::int32_t& ifindex) override;
  std::string Version() override;
  std::vector<std::string> Features() override { return option_keys(); }

  Caller caller_of(const sdbus::Message& message) const;
  static Decision decision_on(const Waiting& waiting);
  void ask(const std::shared_ptr<Waiting>& waiting);
  void try_for(const std::shared_ptr<Waiting>& waiting, const std::function<void()>& action);
  void check_again(const Waiting& waiting);
  void drop(std::uint64_t number);
  void hold(Waiting& waiting);
  void add(Tenure tenure);
  const std::vector<firewall::DoorTraffic>& traffic();
  void release_asked(const LeaseObject& lease, const sdbus::Message& message, ReleaseCall&& call);
  void remove(const std::string& id, ExposureState state, const std::string& reason);
  std::shared_ptr<void> watch_name(const std::string& name, std::function<void()> gone);

  sdbus::IConnection& connection_;
  std::shared_ptr<exposer::Holder> holder_;
  Config config_;
  netlink::Rtnl rtnl_;
  std::optional<std::vector<firewall::DoorTraffic>> traffic_;  // read for the message being answered
  Bouncer bouncer_;
  Quota quota_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Waiting>> waiting_;
  std::map<std::string, std::unique_ptr<LeaseObject>> leases_;
  std::vector<std::shared_ptr<void>> gone_;
};

}  // namespace hostnet::daemon
