// A change of what is held: the journal's lock, what is held under it, the time for it, and the way back.
//
// The journal announces each change before the kernel is changed, and held() is what the journal says. So
// whoever is killed in the middle leaves a lease without a living owner, or one marked `releasing`, and the
// next transaction of any process leads the kernel on from there.
//
//   a lease is   the journal has    the kernel has        begins with                  next
//   wanted       the lease          part of its rules     add(), amend()               held; or back
//   held         the lease          its rules             the last step                amend(), remove()
//   releasing    it, `releasing`    part of its rules     remove(), the way back       gone; or reap() again
//   gone         its names          nothing               the last step of remove()    finish_names()
//
//   event                               then                                                        time
//   add() or amend() meets an exception the kernel and the journal go back to what was              10 s
//   a step of the way back fails        an added lease stays `releasing`, for reap(); an amended    –
//                                       one is in the journal as it was, for repair()
//   a step of remove() fails            the other steps are done; the leases stay `releasing`       –
//   repair() takes more than 1 s        the bridges are closed, and opened when all is put back     deadline
//
// It touches no file of a container: names are written and taken out without the lock
// (path/native/names.hpp).
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

/// LeaseStore::begin() makes one. Not thread-safe; the store must outlive it.
class Transaction {
 public:
  /// Waits for the lock and reads what is held. All that follows has to be done by the deadline.
  /// @throws Error: as state::Journal; state_corrupt, see LeaseStore::rescue().
  Transaction(LeaseStore& store, Deadline deadline);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() = default;

  /// What is held now, with the names that the bridges had at the beginning.
  [[nodiscard]] const state::Snapshot& held() const noexcept { return held_; }
  /// Leaves no more than this of the time.
  void limit(std::chrono::milliseconds span);

  /// Finishes the leases that nobody holds any more, and returns them. `watched` gives the leases whose
  /// owners' end the caller hears of by itself: nobody looks for those owners, nor through all the leases as
  /// long as there are no others.
  /// @throws Error{failure} with all that went wrong; those leases stay, to be tried again.
  std::vector<Ended> reap(const std::function<std::set<std::string>()>& watched = {});

  /// Adds leases whose bridges are `bridges` (prior settings included; those held already keep their record)
  /// and puts them into effect; write_names() is the caller's, without the lock.
  /// @throws Error: conflict when a port leads elsewhere already; whatever failed. Nothing of them is left
  /// then.
  void add(std::vector<state::Lease> leases, std::span<const state::Bridge> bridges);

  /// Puts a lease into the place of the one with its id; connections that it does not let in any more are
  /// cut. @throws Error: not_found when that one is held no more; whatever failed. It is as it was then.
  void amend(const state::Lease& lease);

  /// Takes back what the last add() or amend() has done, for a caller that cannot go on. Within a time of its
  /// own, for the deadline may be what failed. What cannot be taken back is logged.
  void go_back() noexcept;

  /// Takes leases away; the names that they have written become `held().names`, for finish_names() without
  /// the lock. Unknown ids are ignored. @throws Error naming every step that failed; those leases stay in the
  /// journal as `releasing`.
  void remove(const std::set<std::string>& leases);

  /// Makes these the names that are left. @throws Error.
  void settle(std::vector<state::NameLeft> left);

  /// Puts back whatever others have undone. What cannot be put back at once is waited for with
  /// route_localnet off. Returns whether anything was amiss. @throws Error.
  bool repair();

  /// For when nothing is held: takes away what still stands of ours. A guard whose bridge has route_localnet
  /// on is not taken away, and nothing else is then: those bridges are returned. @throws Error.
  std::vector<std::string> sweep();

  /// As state::Journal::tidy(): the last call when nothing is held.
  void tidy() const noexcept { journal_.tidy(held_); }

 private:
  void save(state::Snapshot snapshot);
  void lead_to(state::Snapshot wanted);
  void take_down(state::Snapshot marked, state::Snapshot wanted, Deadline deadline);

  LeaseStore& store_;
  Deadline deadline_;
  state::Journal journal_;
  state::Snapshot held_;
  std::optional<state::Snapshot> before_;  // the last add() or amend(), which can be taken back
};

/// A container port of one lease that leads to another host port by an older lease.
struct Clash {
  std::string older;
  firewall::Forward forward;  ///< The new one.
  std::uint16_t older_host;   ///< Where the older one leads.
};

/// The first clash between forwards that stand and forwards to add; equal forwards are shared, not clashing.
/// Pure.
std::optional<Clash> find_clash(const std::vector<firewall::Forward>& standing,
                                const std::vector<firewall::Forward>& added);

}  // namespace hostnet::exposer
