// One lease as an object on the bus.
#pragma once

#include "core/fd.hpp"
#include "daemon/adaptor.hpp"
#include "daemon/bouncer.hpp"
#include "daemon/quota.hpp"
#include "daemon/request.hpp"
#include "exposer/native.hpp"
#include "hostnet/exposure.hpp"
#include "state/lease.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace hostnet::daemon {

/// All that the daemon keeps of a lease.
struct Tenure {
  state::Lease lease;
  std::string interface;
  std::string owner;  ///< Unique bus name; empty when it has outlived a daemon.
  Exposure exposure;
  Quota::Share share;
  Fd keepalive;                           ///< With lifetime connection only: the lock that we hold for it.
  std::shared_ptr<void> name_watch;       ///< Likewise: what tells that the connection is gone.
  std::optional<ListenerUids> listeners;  ///< With watch-listener: who listened when it was granted.
};

/// Not thread-safe: on the connection's loop.
class LeaseObject final
    : public sdbus::AdaptorInterfaces<io::github::tchostnet::HostNet1::Lease_adaptor,
                                      sdbus::Properties_adaptor, sdbus::ManagedObject_adaptor> {
 public:
  using ReleaseCall = sdbus::Result<>;
  struct Callbacks {
    std::function<void(const LeaseObject&, const sdbus::Message&, ReleaseCall&&)> release;
    std::function<std::vector<exposer::PortTraffic>(const LeaseObject&)> counters;
  };

  LeaseObject(sdbus::IConnection& connection, Tenure tenure, Callbacks callbacks);
  ~LeaseObject();

  [[nodiscard]] const Tenure& tenure() const noexcept { return tenure_; }
  Tenure& tenure() noexcept { return tenure_; }
  [[nodiscard]] const std::string& id() const noexcept { return tenure_.lease.id; }
  [[nodiscard]] sdbus::ObjectPath path() const { return sdbus::ObjectPath(getObjectPath()); }

  /// Announces the state as changed. The object goes right after.
  void announce(ExposureState state);

 private:
  void Release(sdbus::Result<>&& result) override;
  std::string Id() override { return tenure_.lease.id; }
  std::string Owner() override { return tenure_.owner; }
  std::uint32_t OwnerUid() override { return tenure_.lease.owner.uid; }
  std::uint32_t OwnerPid() override { return static_cast<std::uint32_t>(tenure_.lease.owner.pid); }
  std::int32_t Ifindex() override { return tenure_.lease.ifindex; }
  std::string Interface() override { return tenure_.interface; }
  std::string Gateway() override { return tenure_.lease.gateways.front().to_string(); }
  PortList Ports() override { return to_ports(tenure_.lease.ports); }
  std::vector<std::string> Sources() override;
  std::string Unpinned() override { return tenure_.exposure.unpinned(); }
  std::string Label() override { return tenure_.lease.label; }
  std::uint64_t Created() override { return static_cast<std::uint64_t>(tenure_.lease.created); }
  std::uint64_t Expires() override { return static_cast<std::uint64_t>(tenure_.lease.expires.value_or(0)); }
  std::string Lifetime() override { return to_string(tenure_.lease.owner.lifetime); }
  std::string State() override { return to_string(state_); }
  std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>>
  Counters() override;

  Tenure tenure_;
  Callbacks callbacks_;
  ExposureState state_ = ExposureState::active;
  bool announced_ = false;
};

}  // namespace hostnet::daemon
