// The native leases of this host, for the subcommands.
#pragma once

#include "cli/command.hpp"
#include "hostnet/error.hpp"
#include "path/native/lease_store.hpp"

#include <filesystem>
#include <optional>
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

/// For `list` and `status`: look(), but root's leases, which this user may not read, are nullopt.
std::optional<state::Snapshot> look_if_readable(exposer::LeaseStore& store, const Globals& globals);

/// Whether the error says no more than that `folder` holds root's leases, and this user is not root.
bool only_hides_roots(const Error& error, const std::filesystem::path& folder);

/// Says which leases this user does not see, and the command that shows or ends them: "list", "release --all".
void say_hidden(const char* command);

/// Each difference between the leases and the kernel, one line each; empty when all is intact. Takes no lock
/// and changes nothing. @throws Error{not_authorised} when the caller may not read the rules.
std::vector<std::string> deviations(const state::Snapshot& held);

/// For an id that is none of this user's, where root's cannot be read. @throws Error{not_authorised}
[[noreturn]] void throw_not_ours(const std::string& id, const char* command);

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

/// The lease with this id or unique prefix of an id. `others` are the ids of this user's other leases, for the
/// message. @throws Error: not_found, invalid_argument when several match.
const state::Lease& find_lease(const state::Snapshot& snapshot, const std::string& id,
                               const std::vector<std::string>& others);

/// Error{not_found} for an id that is none of these.
Error no_such_lease(const std::string& id, const std::vector<std::string>& ids);

}  // namespace hostnet::cli
