// The alias in the containers' hosts files: writing and removing it.
//
// A container controls its hosts file, so nothing here runs under a lock: a blocked edit must not delay
// another command or the repair of a flushed guard. Hence the order. Set-up: write the lease and its files to
// the journal, set up the rules, release the locks, edit the files. Tear-down: remove the rules, replace the
// lease in the journal by its `names` (state::NameLeft), release the locks, edit the files, strike off the
// removed names. Names not removed within the budget stay in the journal for the next command, kNameTries
// attempts in all.
//
// Another process may release a lease between its set-up and the writing of its name, and the name would
// stay. So the writer checks after writing that the lease is still held. The releaser marks the lease before
// it removes the name, so one of the two sees the other.
#pragma once

#include "core/deadline.hpp"
#include "engine/alias.hpp"
#include "hostnet/error.hpp"
#include "lease/snapshot.hpp"
#include "path/native/lease_store.hpp"

#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace hostnet::exposer {

/// After this many failed attempts, the name stays: it leads to closed forwards, and only the container keeps
/// it.
constexpr int kNameTries = 5;

/// The name budget of an operation: kAliasBudget, or less if the deadline is sooner.
Deadline name_budget(Deadline deadline);

/// Writes the alias for new leases. Call without a lock. A failure is a warning for a network lease, where
/// the alias is best-effort. With `bare`, a bare line with the lease's gateway is its own (engine/hosts_file.hpp,
/// with_marks()). @throws Error if it fails for the one container of a lease.
void write_names(std::span<const state::Lease> leases, Deadline budget, bool bare = false);

/// The names that a lease has written or may have written.
std::vector<state::NameLeft> names_of(const state::Lease& lease);

/// The result of an attempt to remove a name.
struct NameTried {
  state::NameLeft name;
  std::optional<Error> failure;
};

/// Removes names, those with the fewest attempts first. Call without a lock. Skips containers that this
/// process may not inspect and returns no result for them. Also logs failures as warnings.
std::vector<NameTried> take_out(std::vector<state::NameLeft> names, Deadline budget);

/// Returns the names without the removed ones, those that cannot be removed, and those with no attempts left.
/// Pure.
std::vector<state::NameLeft> still_left(std::vector<state::NameLeft> names, std::span<const NameTried> tried);

/// Removes all names in the journal and updates it. Call without a lock; locks `guard` while it uses the
/// store. Failures are warnings.
void finish_names(LeaseStore& store, Deadline budget, std::mutex* guard = nullptr) noexcept;

}  // namespace hostnet::exposer
