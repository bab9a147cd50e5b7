// The native leases of this host, for the subcommands.
#pragma once

#include "cli/command.hpp"
#include "path/native/lease_store.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// Limit for reading or changing the leases: 30 s from now.
Deadline command_deadline();

/// The store of this network namespace.
exposer::LeaseStore open_store(const Globals& globals);

/// The leases, after releasing those of dead owners; a dry run only reads. Creates no state folder if there
/// is none.
/// @throws Error: not_authorised when there are leases and the caller may not read them.
state::Snapshot look(exposer::LeaseStore& store, const Globals& globals);

/// look(). If the caller has other leases to show (`has_other`), not_authorised becomes a warning and an
/// empty result.
state::Snapshot look_beside(exposer::LeaseStore& store, const Globals& globals, bool has_other);

/// Each difference between the leases and the kernel, one line each; empty when all is intact. Takes no lock
/// and changes nothing. @throws Error{not_authorised} when the caller may not read the rules.
std::vector<std::string> deviations(const state::Snapshot& held);

[[noreturn]] void throw_ambiguous(const std::string& id);

/// For records that have their id as a member.
struct OwnId {
  const std::string& operator()(const auto& record) const { return record.id; }
};

/// The record whose id starts with `id`; null when there is none.
/// @throws Error{invalid_argument} when several match.
template <class Records, class IdOf = OwnId>
const typename Records::value_type* find_by_id(const Records& records, const std::string& id,
                                               IdOf id_of = {}) {
  const typename Records::value_type* found = nullptr;
  for (const auto& record : records) {
    if (id.empty() || !id_of(record).starts_with(id)) continue;
    if (found != nullptr) throw_ambiguous(id);
    found = &record;
  }
  return found;
}

/// The lease with this id or unique prefix of an id.
/// @throws Error: not_found, invalid_argument when several match.
const state::Lease& find_lease(const state::Snapshot& snapshot, const std::string& id);

}  // namespace hostnet::cli
