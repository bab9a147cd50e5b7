// The alias in the hosts files of containers that leases are for, written and taken out.
//
// A hosts file is within the container's reach, so nothing here is done under a lock: what holds up the edit
// of one file must not hold up another command, nor the repair of a flushed guard. Hence the order. Set-up:
// the journal has the lease with the files to be edited, its rules stand, the locks are given back, then the
// files are edited. Tear-down: the lease's rules go, the journal has its names as `names` (state::NameLeft)
// in its place, the locks are given back, the files are edited, and the names that are out are struck off.
// What was not to be had within the budget stays on the list for the next command, kNameTries times in all.
//
// A lease may be released by another process between its set-up and the writing of its name, which then would
// stay. So after writing one looks whether the lease is still held: who releases marks it before taking the
// name out, who writes looks after writing, and one of the two sees the other.
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

/// After so many commands have met a file that was not to be had, its name is left where it is: it leads to
/// closed forwards, and the container keeps it there.
constexpr int kNameTries = 5;

/// For an operation that has this much time left: kAliasBudget at most.
Deadline name_budget(Deadline deadline);

/// Writes the alias for leases that have just been added. With no lock held. What fails for a network is a
/// warning, for the alias is a service there. @throws Error when it fails for the one container of a lease.
void write_names(std::span<const state::Lease> leases, Deadline budget);

/// The names that a lease has, or may have, written.
std::vector<state::NameLeft> names_of(const state::Lease& lease);

/// What came of a try to take a name out.
struct NameTried {
  state::NameLeft name;
  std::optional<Error> failure;
};

/// Takes names out, those that have been tried least first. With no lock held. Those of containers that this
/// process may not look into are left for another, and are not among the answers. Failures are warnings, too.
std::vector<NameTried> take_out(std::vector<state::NameLeft> names, Deadline budget);

/// Strikes off what is out, what cannot be taken out, and what has been tried often enough. Pure.
std::vector<state::NameLeft> still_left(std::vector<state::NameLeft> names, std::span<const NameTried> tried);

/// Takes out all the names that are on the journal's list, and brings it up to date. With no lock held;
/// `guard` is locked while the store is used. Failures are warnings.
void finish_names(LeaseStore& store, Deadline budget, std::mutex* guard = nullptr) noexcept;

}  // namespace hostnet::exposer
