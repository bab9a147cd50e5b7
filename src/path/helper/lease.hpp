// Leases that the helper holds for this process, and the thread that hears when one of them ends.
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "dbus/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"
#include "lease/owner.hpp"
#include "lease/tunnel_record.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace hostnet::exposer {

class HelperLease;

/// Listens to the bus while there are leases. Thread-safe.
class HelperWatch {
 public:
  HelperWatch();
  HelperWatch(const HelperWatch&) = delete;
  HelperWatch& operator=(const HelperWatch&) = delete;
  ~HelperWatch();

  /// Before the lease is asked for, so that its end cannot be missed. @throws Error.
  void start();
  void add(const std::string& path, std::weak_ptr<HelperLease> lease);
  void remove(const std::string& path);

 private:
  class Listener;

  std::shared_ptr<Listener> listener_;
  std::mutex mutex_;  // guards what follows
  std::jthread thread_;
};

/// One lease. Its life on the helper's side is bound to the descriptor that is in here.
class HelperLease : public Exposure::Impl, public std::enable_shared_from_this<HelperLease> {
 public:
  struct Settings {
    std::shared_ptr<HelperWatch> watch;
    std::shared_ptr<state::TunnelStore> store;
    std::shared_ptr<state::Owner> owner;  ///< Where an alias was written; else null.
    std::string engine;                   ///< Socket, likewise.
    std::chrono::milliseconds release_deadline{30'000};
    std::shared_ptr<Notifier> notifier;
  };

  HelperLease(Settings settings, dbus::Granted granted);
  ~HelperLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  [[nodiscard]] std::string unpinned() const override { return unpinned_; }
  /// Asks the helper, once, before the lease is shown to anybody; warns when there is a reason.
  void ask_unpinned(Deadline deadline);

  [[nodiscard]] const std::string& path() const noexcept { return granted_.lease; }
  /// Writes the alias into these containers, and down that it is there. @throws Error, also when the lease
  /// ends meanwhile: the alias is out again then.
  void write_alias(const std::vector<std::string>& containers, bool required, state::TunnelRecord record,
                   Deadline deadline);
  /// The helper says that it has ended.
  void end(ExposureState state, const std::string& reason);

 private:
  void put_alias(Ipv4 address, bool required, Deadline deadline);
  void remove_alias(Deadline deadline, Failures& failures);

  Settings settings_;
  dbus::Granted granted_;
  std::optional<state::TunnelRecord> record_;
  std::string unpinned_;

  LeaseLife life_;
  // Who writes the alias takes it back, too, when the lease has ended meanwhile.
  std::mutex mutex_;  // guards what follows
  bool is_writing_ = false;
};

}  // namespace hostnet::exposer
