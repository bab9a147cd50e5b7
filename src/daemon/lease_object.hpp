// One lease as an object on the bus.
#pragma once

#include "core/fd.hpp"
#include "daemon/adaptor.hpp"
#include "daemon/bouncer.hpp"
#include "daemon/quota.hpp"
#include "daemon/request.hpp"
#include "daemon/sdbus.hpp"
#include "hostnet/exposure.hpp"
#include "lease/lease.hpp"
#include "path/native/native.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::daemon {

/// The progress of a lease's end.
struct Ending {
  const char* reason = nullptr;  ///< Set while a worker releases the lease.
  const char* failed = nullptr;  ///< The reason of a release that failed.
  std::vector<std::function<void(const std::exception_ptr&)>> waiting;  ///< Called with the result.
};

/// The daemon's state of one lease.
struct HeldLease {
  state::Lease lease;
  std::string interface;
  std::string owner;  ///< Unique bus name; empty when the lease outlived an earlier daemon.
  std::shared_ptr<Exposure> exposure;
  Quota::Share share;
  Fd keepalive;                           ///< With lifetime connection only: the lock, held for the caller.
  std::optional<ListenerUids> listeners;  ///< With watch-listener: the listeners at the time of the grant.
  std::uint64_t first_look = 0;           ///< The first look at listeners that began after the grant.
  std::chrono::steady_clock::time_point granted = std::chrono::steady_clock::now();
  Ending ending;
};

/// Not thread-safe: use on the connection's loop.
class LeaseObject final
    : public sdbus::AdaptorInterfaces<io::github::tchostnet::HostNet1::Lease_adaptor,
                                      sdbus::Properties_adaptor, sdbus::ManagedObject_adaptor> {
 public:
  using ReleaseCall = sdbus::Result<>;
  struct Callbacks {
    std::function<void(const LeaseObject&, const sdbus::Message&, ReleaseCall&&)> release;
    std::function<std::vector<exposer::PortTraffic>(const HeldLease&)> counters;
  };

  LeaseObject(sdbus::IConnection& connection, HeldLease held_lease, Callbacks callbacks);
  ~LeaseObject();

  [[nodiscard]] const HeldLease& held_lease() const noexcept { return held_lease_; }
  HeldLease& held_lease() noexcept { return held_lease_; }
  [[nodiscard]] const std::string& id() const noexcept { return held_lease_.lease.id; }
  [[nodiscard]] sdbus::ObjectPath path() const { return sdbus::ObjectPath(getObject().getObjectPath()); }

  /// Announces the changed state. Remove the object right after.
  void announce(ExposureState state);

 private:
  void Release(sdbus::Result<>&& result) override;
  std::string Id() override;
  std::string Owner() override;
  std::uint32_t OwnerUid() override;
  std::uint32_t OwnerPid() override;
  std::int32_t Ifindex() override;
  std::string Interface() override;
  std::string Gateway() override;
  PortList Ports() override;
  std::vector<std::string> Addresses() override;
  std::vector<std::string> Sources() override;
  std::string Unpinned() override;
  std::string Label() override;
  std::uint64_t Created() override;
  std::uint64_t Expires() override;
  std::string Lifetime() override;
  std::string State() override;
  std::vector<sdbus::Struct<std::string, std::uint16_t, std::uint16_t, std::uint64_t, std::uint64_t>>
  Counters() override;

  HeldLease held_lease_;
  Callbacks callbacks_;
  ExposureState state_ = ExposureState::active;
  bool announced_ = false;
};

}  // namespace hostnet::daemon
