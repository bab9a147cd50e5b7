// Leases that the helper holds for this process, and the thread that receives their ends.
//
//   lease    event                                            next
//   active   release()                                        released
//   active   the helper reports an end                        failed (interface-gone, failed) or released
//   active   the helper is gone, and once started again       failed
//            does not list the lease
//   active   the bus is lost                                  active; reconnects, then compares with the list
//   ended    write_alias() was running                        write_alias() removes the alias and throws
//
//   limit              value   for
//   kCallDeadline      5 s     the query of the helper's leases; removing the alias after an end
//   kTryAgain          1 s     pause between two attempts to reconnect to the bus
//   release_deadline   30 s    release()
//   kMostEarly         64      ends kept for leases that are not registered yet
#pragma once

#include "core/deadline.hpp"
#include "core/failures.hpp"
#include "dbus/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/joined_names.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"
#include "lease/owner.hpp"
#include "lease/tunnel_record.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace hostnet::exposer {

class HelperLease;

/// Receives the ends of leases from the bus, in one thread. Thread-safe.
class HelperWatch {
 public:
  HelperWatch();
  HelperWatch(const HelperWatch&) = delete;
  HelperWatch& operator=(const HelperWatch&) = delete;
  ~HelperWatch();

  /// Starts the thread. Call it before asking for a lease, so that no end is missed. Idempotent. @throws
  /// Error.
  void start();
  void add(const std::string& path, std::weak_ptr<HelperLease> lease);
  void remove(const std::string& path);

 private:
  class Listener;

  std::shared_ptr<Listener> listener_;
  std::mutex mutex_;  // guards what follows
  std::jthread thread_;
};

/// One lease. The helper ends it when the keepalive descriptor in here closes.
class HelperLease : public Exposure::Impl,
                    public JoinedNames,
                    public std::enable_shared_from_this<HelperLease> {
 public:
  struct Settings {
    std::shared_ptr<HelperWatch> watch;
    std::shared_ptr<state::TunnelStore> store;
    std::shared_ptr<state::Owner> owner;  ///< Null without an alias.
    std::string engine;                   ///< The engine's socket; empty without an alias.
    std::chrono::milliseconds release_deadline{30'000};
    std::shared_ptr<Notifier> notifier;
  };

  HelperLease(Settings settings, dbus::Granted granted);
  ~HelperLease() override;

  void release() override;
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }
  [[nodiscard]] std::string unpinned() const override { return unpinned_; }
  /// Asks the helper whether the lease lacks its anti-spoofing binding, and warns if so. Call it once, before
  /// the lease is returned.
  void ask_unpinned(Deadline deadline);

  [[nodiscard]] const std::string& path() const noexcept { return granted_.lease; }
  /// Records the alias and writes it into these containers. @throws Error, also when the lease ends
  /// meanwhile: the alias is then removed.
  void write_alias(const std::vector<std::string>& containers, bool required, state::TunnelRecord record,
                   Deadline deadline);
  /// Does nothing for a lease without an alias. @throws Error as write_alias().
  void take_in(const engine::Container& container, Deadline deadline) override;
  void let_go(const engine::Container& container, Deadline deadline) override;
  /// Ends the lease as the helper reports.
  void end(ExposureState state, const std::string& reason);

 private:
  void change_names(const std::function<void()>& change);
  void put_alias(Ipv4 address, bool required, Deadline deadline);
  void remove_alias(Deadline deadline, Failures& failures);

  Settings settings_;
  dbus::Granted granted_;
  std::optional<state::TunnelRecord> record_;
  bool written_ = false;  // the names, once: from then on the engine may have dropped our marks
  std::string unpinned_;

  LeaseLife life_;
  // When the lease ends during change_names(), that call removes the alias and end() does not.
  std::mutex mutex_;  // guards what follows
  bool is_writing_ = false;
};

}  // namespace hostnet::exposer
