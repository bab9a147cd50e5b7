// The leases of one network namespace, as one process sees them: the journal's file and the executor that
// makes the kernel follow it.
//
// begin() makes a Transaction for every change. The other functions need no lock: they read, or close
// bridges, which is safe at any time. rescue() handles an unreadable journal.
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

/// Bridges with our guard but without a lease, for example after a restore of rules saved during a lease.
struct Leftovers {
  std::vector<std::string> idle;    ///< Without route_localnet: the guard protects nothing.
  std::vector<std::string> needed;  ///< With route_localnet on, set by any program.

  [[nodiscard]] bool empty() const noexcept { return idle.empty() && needed.empty(); }
};

/// Works in the network namespace of the thread that made it. Not thread-safe. Several stores, in one or more
/// processes, may use the same namespace.
class LeaseStore {
 public:
  /// `firewall` applies to leases added while there are none.
  explicit LeaseStore(const std::filesystem::path& runtime_dir, Firewall firewall = Firewall::automatic);

  /// Takes the lock and reads the leases under it. @throws Error as Transaction().
  [[nodiscard]] Transaction begin(Deadline deadline);

  /// The snapshot, read without the lock, with the bridge names in the journal. @throws Error.
  state::Snapshot peek() { return file_.read(); }
  /// Whether another process has changed the journal since the last call. @throws Error.
  bool has_news();

  /// As peek(), with the bridges' current names. Creates nothing. @throws Error.
  state::Snapshot look();

  /// Drops the record that all leases are watched, after a lease lost its watch.
  void forget_watched() noexcept { all_watched_.reset(); }

  /// The firewall for a new lease beside those in `held`, and why.
  /// @throws Error{conflict} if the caller asks for another firewall than theirs.
  [[nodiscard]] firewall::FirewallChoice firewall_for(const state::Snapshot& held) const;

  /// Whether a transaction has left names to remove since the last call.
  bool has_new_names() noexcept { return std::exchange(new_names_, false); }
  /// Switches route_localnet off on the bridges of `held`, except where it was on before. That closes them,
  /// whatever happens to the rules. @throws Error.
  void close(const state::Snapshot& held);

  /// For an unreadable journal: takes its lock, sets it aside and removes everything of ours from the kernel,
  /// by the names of our chains. The prior sysctl values are lost, so the guarded bridges get the kernel's
  /// default, 0. Returns these bridges. @throws Error.
  std::vector<std::string> rescue(Deadline deadline);

  /// The guarded bridges that `held` does not contain. Changes nothing; needs no lock if there are no leases.
  /// @throws Error.
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
  // State that one transaction leaves for the next.
  bool new_names_ = false;
  std::uint64_t news_ = 0;                    // the value at the last has_news()
  std::optional<std::uint64_t> all_watched_;  // news() at which all leases were watched
  std::set<std::string> tried_;               // leases that the last reap() failed to remove
};

/// The firewall of existing leases, as a choice.
firewall::FirewallChoice firewall_of_leases(Firewall kind);

}  // namespace hostnet::exposer
