// The leases of one network namespace, as one process sees them: the journal's file, and the executor that
// leads the kernel after it.
//
// Every change is a Transaction, which begin() makes. What is here needs no lock, for it changes nothing of
// what is held: looks, and closing bridges, which is safe at any moment. rescue() is for when there is nothing
// to begin with.
#pragma once

#include "core/deadline.hpp"
#include "hostnet/firewall.hpp"
#include "lease/journal.hpp"
#include "path/native/executor.hpp"
#include "path/native/transaction.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Bridges with a guard of ours and without a lease, such as a restore of rules that were saved during a
/// lease brings back.
struct Leftovers {
  std::vector<std::string> idle;    ///< Without route_localnet: the guard guards nothing.
  std::vector<std::string> needed;  ///< With route_localnet on, by whomever.

  [[nodiscard]] bool empty() const noexcept { return idle.empty() && needed.empty(); }
};

/// In the network namespace of the thread that made it. Not thread-safe; any number of stores, in one
/// process or in many, may work on the same namespace.
class LeaseStore {
 public:
  /// `firewall` is for leases that are added while nothing is held.
  explicit LeaseStore(const std::filesystem::path& runtime_dir, Firewall firewall = Firewall::automatic);

  /// The lock, and what is held under it. @throws Error as Transaction().
  [[nodiscard]] Transaction begin(Deadline deadline);

  /// What is held, without the lock, and with the names that the bridges had when it was written. @throws
  /// Error.
  state::Snapshot peek() { return file_.read(); }
  /// Whether others have changed what is held since the last call. @throws Error.
  bool has_news();

  /// The same with the bridges' present names. Makes nothing. @throws Error.
  state::Snapshot look();

  /// A lease that was watched is watched no more.
  void forget_watched() noexcept { all_watched_.reset(); }

  /// The firewall in which a lease that is added to these stands, or would stand, and why.
  /// @throws Error{conflict} when another one is asked for than theirs.
  [[nodiscard]] firewall::FirewallChoice firewall_for(const state::Snapshot& held) const;

  /// Whether a transaction has left names since the last call.
  bool has_new_names() noexcept { return std::exchange(new_names_, false); }
  /// Switches route_localnet off on the bridges of `held`, but where it was on before: what closes them all,
  /// whatever becomes of the rules. @throws Error.
  void close(const state::Snapshot& held);

  /// For a journal that cannot be read: takes its lock, sets it aside and takes away everything that is ours
  /// in the kernel, by our chains' names. The prior sysctl values are lost, so the guarded bridges get the
  /// kernel's default, 0. Returns the bridges so treated. @throws Error.
  std::vector<std::string> rescue(Deadline deadline);

  /// Those that `held` has nothing of. Changes nothing, and needs no lock where nothing is held. @throws
  /// Error.
  Leftovers leftovers(const state::Snapshot& held);

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return file_.folder(); }
  Executor& executor() noexcept { return executor_; }

 private:
  friend class Transaction;

  void settle_binding(state::Lease& lease);
  void take_away(const state::Snapshot& found, Deadline deadline);

  Firewall firewall_;
  Executor executor_;
  state::JournalFile file_;
  // What one transaction leaves for the next.
  bool new_names_ = false;
  std::uint64_t news_ = 0;                    // that has_news() told of
  std::optional<std::uint64_t> all_watched_;  // the news up to which all leases were found to be watched
  std::set<std::string> tried_;               // what the last reap() could not take away
};

/// That of leases that are held, as a choice.
firewall::FirewallChoice firewall_of_leases(Firewall kind);

}  // namespace hostnet::exposer
