// What this process holds, and the thread that looks after it.
//
// A lease must not outlive what it stands on, nor stand unguarded because somebody flushed the firewall.
// While the process holds leases, a thread listens for interfaces that go or change their name
// (RTNLGRP_LINK), for changes to nf_tables, for changes of the journal (somebody released a lease of ours),
// and for descriptors that a lease is bound to, and four times a second compares the size of the legacy
// tables and looks at the sysctl, the kernel having no notification for those. Whatever is amiss is put back;
// if that fails, the lease is closed: the sysctl goes off, and the owner is told.
//
// Nothing here edits a container's hosts file under a lock, nor in that thread (path/native/names.hpp): a
// container can keep whoever opens its file waiting, and a flushed guard must be back meanwhile. hold() and
// release() do it in the caller's thread at their end; for leases that end by themselves a thread of its own
// does it.
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

/// Thread-safe. In the network namespace of the thread that made it, to which every caller must belong.
class Holder : public std::enable_shared_from_this<Holder> {
 public:
  struct Settings {
    std::filesystem::path runtime_dir;
    std::chrono::milliseconds release_deadline{30'000};
    /// Called from a thread of the holder, with no lock held; must not throw.
    std::function<void(const Ended&)> on_end = {};
    Firewall firewall = Firewall::automatic;  ///< As in ExposerOptions.
  };

  explicit Holder(Settings settings);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  /// Stops the thread. All leases have been released by then: each handle keeps the holder alive.
  ~Holder();

  /// Puts leases into effect, all or none, and holds them; their ids are filled in here, and this process as
  /// the owner of those that have none. Their names are written as write_names() does it.
  /// @throws Error as Transaction::add() and write_names().
  std::vector<Exposure> hold(std::vector<state::Lease> leases, const std::vector<state::Bridge>& bridges,
                             Deadline deadline);

  /// Leases that outlived the process that looked after them, each with its handle.
  using Adopted = std::vector<std::pair<state::Lease, Exposure>>;
  /// Looks after the leases whose life is bound to a descriptor or to nothing, from now on. For the one
  /// process of this namespace that makes such leases. @throws Error.
  Adopted adopt(Deadline deadline);

  /// For whom alone a lease is from now on.
  struct Served {
    std::string target;  ///< As Lease::target has it.
    Ipv4 source;
    std::optional<state::ProcessId> process;  ///< The lease ends with it.
    std::string port = {};                    ///< As Lease::port has it.
    std::string unpinned = {};                ///< As Lease::unpinned has it.
  };
  /// Narrows a lease of this process down to one container, whose address was not known before.
  /// @throws Error as Transaction::amend().
  void restrict_to(const std::string& lease, const Served& served, Deadline deadline);

  /// As Exposure::release().
  void release(const std::string& lease);
  [[nodiscard]] ExposureState state(const std::string& lease) const;
  [[nodiscard]] std::string reason(const std::string& lease) const;
  /// As Exposure::unpinned().
  [[nodiscard]] std::string unpinned(const std::string& lease) const;
  /// Leaves a lease in place without looking after it any more, for another process to adopt.
  void let_go(const std::string& lease);
  /// The handle is gone: nobody asks about this lease any more.
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
  void end(Ended ended);  // with work_ taken
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
  mutable std::mutex mutex_;  // guards what follows; the store's own work happens under work_
  std::map<std::string, Held> held_;
  std::set<std::string> leaving_;  // what a caller of release() is taking away
  std::condition_variable left_;
  std::vector<Ended> notices_;  // for settings_.on_end, which is called with no lock held
  std::vector<std::pair<LogLevel, std::string>> sayings_;  // for the log, likewise

  std::mutex work_;  // one change of the kernel at a time from this process; taken before mutex_
  LeaseStore store_;
  std::optional<state::Owner> owner_;
  std::optional<KeepaliveWatch> keepalives_;  // made when the first lease needs it; guarded by work_
  bool look_is_due_ = false;                  // likewise
  std::atomic<bool> unfinished_ = false;      // leases are over whose rules still stand; written likewise
  std::optional<std::chrono::steady_clock::time_point> unfinished_since_;  // guarded by work_

  EventLoop loop_;
  std::shared_ptr<Monitors> monitors_;
  std::jthread thread_;
  std::jthread tidier_;  // the thread's: edits hosts files, which the thread must not wait for
  std::atomic<bool> is_tidying_ = false;
};

}  // namespace hostnet::exposer
