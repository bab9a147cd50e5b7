// What subcommands need of the leases on this host.
#pragma once

#include "cli/command.hpp"
#include "path/native/lease_store.hpp"

#include <string>
#include <vector>

namespace hostnet::cli {

/// How long a look or a change of the leases may take.
Deadline command_deadline();

/// The store of this network namespace.
exposer::LeaseStore open_store(const Globals& globals);

/// What is held, after finishing what dead owners left, which a dry run leaves alone. Creates nothing where
/// nothing is held. @throws Error: not_authorised when there are leases and the caller may not see them.
state::Snapshot look(exposer::LeaseStore& store, const Globals& globals);

/// look(); for a caller who has something else to show, what may not be seen is a warning and nothing.
state::Snapshot look_beside(exposer::LeaseStore& store, const Globals& globals, bool has_other);

/// What of all that is held differs in the kernel, one line each; none when all is intact. Takes no lock and
/// changes nothing. @throws Error{not_authorised} when the rules may not be seen.
std::vector<std::string> deviations(const state::Snapshot& held);

[[noreturn]] void throw_ambiguous(const std::string& id);

/// For what has its id itself.
struct OwnId {
  const std::string& operator()(const auto& record) const { return record.id; }
};

/// The one whose id is, or begins with, `id`; null when there is none. @throws Error{invalid_argument} when
/// several match.
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

/// The lease with this id or, when only one matches, this beginning of an id.
/// @throws Error: not_found, invalid_argument when several match.
const state::Lease& find_lease(const state::Snapshot& snapshot, const std::string& id);

}  // namespace hostnet::cli
