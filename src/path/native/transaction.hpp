// A change of the leases: the journal's lock, the snapshot under it, the deadline, and the way back.
//
// The journal announces each change before the kernel changes, and held() is the journal's content. A process
// killed in between leaves a lease without a living owner or one marked `releasing`; the next transaction of
// any process continues from there.
//
//   a lease is   in the journal      in the kernel        begins with                 next state
//   wanted       the lease           part of its rules    add(), amend()              held, or back
//   held         the lease           all its rules        the last step               amend(), remove()
//   releasing    it, `releasing`     part of its rules    remove(), the way back      gone, or reap() again
//   gone         its names           nothing              the last step of remove()   finish_names()
//
//   event                          then                                                     time limit
//   begin()                        waits for the lock                                       the deadline
//   add() or amend() throws        journal and kernel go back to the state before           10 s (kWayBack)
//   a step of the way back fails   an added lease stays `releasing`, for reap(); an         none
//                                  amended one is restored in the journal, for repair()
//   a step of remove() fails       the other steps run; the leases stay `releasing`         the deadline
//   repair() exceeds 1 s           the bridges close until the rules are restored           kAtOnce, then
//                                                                                           the deadline
//
// A transaction edits no hosts file: names are written and removed without the lock (path/native/names.hpp).
#pragma once

#include "core/deadline.hpp"
#include "firewall/ruleset.hpp"
#include "lease/journal.hpp"
#include "path/native/ended.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace hostnet::exposer {

class LeaseStore;

/// Made by LeaseStore::begin(). Not thread-safe; the store must outlive it.
class Transaction {
 public:
  /// Waits for the lock and reads the leases. The deadline applies to all later calls.
  /// @throws Error: as state::Journal; state_corrupt, see LeaseStore::rescue().
  Transaction(LeaseStore& store, Deadline deadline);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() = default;

  /// The current snapshot, with the bridge names read at the beginning.
  [[nodiscard]] const state::Snapshot& held() const noexcept { return held_; }
  /// Replaces the deadline: what follows has this long.
  void set_limit(std::chrono::milliseconds span);

  /// Removes the leases that have ended and returns them. `watched` gives the leases whose owners the caller
  /// watches itself: reap() skips their owners, and skips all leases while there are no others.
  /// @throws Error{failure} with all failures; those leases stay for another attempt.
  std::vector<Ended> reap(const std::function<std::set<std::string>()>& watched = {});

  /// Adds leases on `bridges` (with their prior settings; known bridges keep their record) and puts them into
  /// effect. The caller calls write_names() without the lock.
  /// @throws Error: conflict if a port already leads elsewhere; the error of a failed step. Nothing of the
  /// leases remains then.
  void add(std::vector<state::Lease> leases, std::span<const state::Bridge> bridges);

  /// Replaces the lease with the same id and cuts connections that it no longer permits. @throws Error:
  /// not_found if that lease is no longer held; the error of a failed step. The lease is then unchanged.
  void amend(state::Lease lease);

  /// Undoes the last add() or amend(), for a caller that cannot continue. Has its own time limit, because the
  /// deadline may be the cause. Logs what it cannot undo.
  void go_back() noexcept;

  /// Removes leases. Their names move to `held().names`, for finish_names() without the lock. Ignores unknown
  /// ids. @throws Error naming every failed step; those leases stay in the journal as `releasing`.
  void remove(const std::set<std::string>& leases);

  /// Replaces the list of names still to remove. @throws Error.
  void settle(std::vector<state::NameLeft> left);

  /// Restores what others have changed. If that does not succeed at once, route_localnet stays off until it
  /// does. Returns whether anything differed. @throws Error.
  bool repair();

  /// Without leases: removes our leftovers. Returns the bridges that have a guard and route_localnet on; if
  /// there are any, it removes nothing. @throws Error.
  std::vector<std::string> sweep();

  /// As state::Journal::tidy(); the last call if there are no leases.
  void tidy() const noexcept { journal_.tidy(held_); }

 private:
  void save(state::Snapshot snapshot);
  void lead_to(state::Snapshot wanted);
  void take_down(state::Snapshot marked, state::Snapshot wanted, Deadline deadline);

  LeaseStore& store_;
  Deadline deadline_;
  state::Journal journal_;
  state::Snapshot held_;
  std::optional<state::Snapshot> before_;  // before the last add() or amend(), for go_back()
};

/// A container port of a new lease that an older lease sends to another host port.
struct Clash {
  std::string older;
  firewall::Forward forward;  ///< The new one.
  Endpoint older_service;     ///< Where the older lease leads to.
  /// "host port 8088", or "127.0.0.2:8088".
  [[nodiscard]] std::string older_text() const;
};

/// The first clash between existing forwards and new ones. Equal forwards are shared and do not clash. Pure.
std::optional<Clash> find_clash(const std::vector<firewall::Forward>& standing,
                                const std::vector<firewall::Forward>& added);

}  // namespace hostnet::exposer
