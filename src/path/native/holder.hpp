// Leases held by this process. One monitor thread repairs them when links, nftables, the journal or sysctls
// change, and ends a lease that it cannot repair. Lock order: work_, the journal's lock, mutex_.
//
//   state    handle's state()    the lease's rules                       names in hosts files
//   active   active              stand; the monitor repairs them         written
//   leaving  active              are being removed by release()          written
//   over     released, failed    gone, or removed by a later check       being removed, kNameTries attempts
//
//   event                                            then
//   release(), or its handle is destroyed            released
//   its timeout passes, its owner ends, its          released; on_end
//   container stops, another process releases it
//   its bridge is gone                               failed; on_end
//   repair fails                                     route_localnet off, failed; on_end
//
// A lease must not outlive its bridge, nor stand without its guard after a flush of the firewall. The kernel
// reports link changes (RTNLGRP_LINK), nf_tables changes, journal writes (a foreign release) and closed
// descriptors. It does not report changes of legacy tables and sysctls, so the monitor compares those every
// 250 ms. monitor.cpp has the table of events, upkeep.cpp that of repairs and their deadlines.
//
// No function edits a hosts file under a lock or in the monitor thread (path/native/names.hpp): a container
// can block an open() of its file, while a flushed guard must be repaired. hold() and release() edit at their
// end in the caller's thread; for leases that end by themselves, a separate thread does.
#pragma once

#include "core/deadline.hpp"
#include "core/event_loop.hpp"
#include "firewall/iptables.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/log.hpp"
#include "lease/owner.hpp"
#include "netlink/link.hpp"
#include "netlink/monitor.hpp"
#include "path/native/keepalive_watch.hpp"
#include "path/native/lease_store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::exposer {

/// Thread-safe. Works in the network namespace of the thread that made it; every caller must be in that
/// namespace.
class Holder : public std::enable_shared_from_this<Holder> {
 public:
  struct Settings {
    std::filesystem::path runtime_dir;
    std::chrono::milliseconds release_deadline{30'000};
    /// Called from the monitor thread without a lock; must not throw.
    std::function<void(const Ended&)> on_end = {};
    Firewall firewall = Firewall::automatic;  ///< As in ExposerOptions.
  };

  explicit Holder(Settings settings);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  /// Stops the threads. All leases are released by then: each handle keeps the holder alive.
  ~Holder();

  /// Puts all leases into effect or none, and holds them. Sets their ids, and this process as owner where
  /// there is none. Writes their names as write_names() does.
  /// @throws Error as Transaction::add() and write_names().
  std::vector<Exposure> hold(std::vector<state::Lease> leases, const std::vector<state::Bridge>& bridges,
                             Deadline deadline);

  /// Leases that outlived their process, each with its handle.
  using Adopted = std::vector<std::pair<state::Lease, Exposure>>;
  /// Takes over the leases with lifetime descriptor or persistent. For the one process of this namespace that
  /// makes such leases. @throws Error.
  Adopted adopt(Deadline deadline);

  /// The one container that a lease is restricted to.
  struct Served {
    std::string target;  ///< As Lease::target.
    Ipv4 source;
    std::optional<state::ProcessId> process;  ///< The lease ends with it.
    std::string port = {};                    ///< As Lease::port.
    std::string unpinned = {};                ///< As Lease::unpinned.
  };
  /// Restricts a lease of this process to one container whose address was unknown before.
  /// @throws Error as Transaction::amend().
  void restrict_to(const std::string& lease, const Served& served, Deadline deadline);

  /// Writes the alias into one more container of a lease, or again. Does nothing for a lease that has ended. A
  /// failure to write is a warning for a network's lease. `bare` as in write_names(). @throws Error as
  /// Transaction::amend().
  void take_in(const std::string& lease, const engine::AliasRecord& record, bool bare, Deadline deadline);
  /// Removes the alias of the lease from one container, by its id. `bare` as in take_in(). @throws Error as
  /// Transaction::amend().
  void let_go_of(const std::string& lease, const std::string& container, bool bare, Deadline deadline);

  /// As Exposure::release().
  void release(const std::string& lease);
  [[nodiscard]] ExposureState state(const std::string& lease) const;
  [[nodiscard]] std::string reason(const std::string& lease) const;
  /// As Exposure::unpinned().
  [[nodiscard]] std::string unpinned(const std::string& lease) const;
  /// Stops monitoring a lease but leaves it in place, for another process to adopt.
  void let_go(const std::string& lease);
  /// Drops the entry of a lease whose handle is gone.
  void forget(const std::string& lease);

  LeaseStore& store() noexcept { return store_; }

 private:
  struct Held {
    ExposureState state = ExposureState::active;
    std::string reason;
    std::optional<std::int64_t> expires;
    int ifindex = 0;
    std::string unpinned = {};
  };
  struct Monitors;

  std::set<std::string> active() const;
  bool has_active() const;
  std::vector<Exposure> put_into_effect(std::vector<state::Lease>& leases,
                                        const std::vector<state::Bridge>& bridges, Deadline deadline);
  std::vector<state::NameLeft> names_of_released(const std::vector<state::Lease>& leases);
  void give_back(std::set<std::string> leases);
  void take_away(std::set<std::string> leases);
  void finish_new_names() noexcept;
  void finish_new_names_soon();
  void end(Ended ended);  // requires work_
  Exposure handle_of(const state::Lease& lease, const std::string& bridge);
  void drop_owner_if_idle(const Transaction& transaction);
  void start_watching();
  void subscribe();
  void want_check();
  void watch();
  bool a_setting_is_lost(netlink::Rtnl& rtnl) const;
  void check();
  std::optional<Transaction> begin_check();
  void end_what_is_over(Transaction& transaction);
  void postpone(const state::Snapshot& held, const Error& error);
  void check_or_fail_closed();
  void fail_closed(const std::string& reason);
  std::set<std::string> end_revoked(const state::Snapshot& held);
  void notice_foreign_release();
  void release_expired();
  void release_closed();
  void release_closed_soon();
  void release(const std::set<std::string>& leases, Cause cause, const std::string& reason);
  void say(LogLevel level, std::string line);
  void deliver_notices();

  Settings settings_;
  mutable std::mutex mutex_;  // guards the members up to work_; the store needs work_
  std::map<std::string, Held> held_;
  std::set<std::string> leaving_;  // leases that a caller of release() is tearing down
  std::condition_variable left_;
  std::vector<Ended> notices_;                             // for settings_.on_end, called without a lock
  std::vector<std::pair<LogLevel, std::string>> sayings_;  // for the log, likewise

  std::mutex work_;  // one kernel change at a time from this process; taken before mutex_
  LeaseStore store_;
  std::optional<state::Owner> owner_;
  std::optional<KeepaliveWatch> keepalives_;  // made for the first lease; guarded by work_
  bool look_is_due_ = false;                  // guarded by work_
  std::atomic<bool> unfinished_ = false;      // ended leases still have rules; written under work_
  std::optional<std::chrono::steady_clock::time_point> unfinished_since_;  // guarded by work_

  EventLoop loop_;
  std::shared_ptr<Monitors> monitors_;
  std::jthread thread_;
  std::jthread tidier_;  // edits hosts files; started by the monitor thread
  std::atomic<bool> is_tidying_ = false;
};

}  // namespace hostnet::exposer
