// Writes the alias into a running container's hosts file from outside, and takes it out again.
//
// (Theory of operation belongs here: which file, why in place, how a symlink cannot lead out.)
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/ipv4.hpp"
#include "engine/client.hpp"

namespace hostnet::engine {

/// Enough to find the hosts file again later, also after this process died. Kept in the journal.
struct AliasRecord {
  std::string container;        ///< Container id.
  pid_t pid = 0;                ///< Its first process, and
  std::uint64_t pid_start = 0;  ///< when that started, so that a reused pid is not taken for it.
  std::string hosts_path;       ///< The file on the engine's host, may be empty.

  bool operator==(const AliasRecord&) const = default;
};

/// What write_alias() will touch. @throws Error{conflict} unless the container runs.
AliasRecord alias_record(const Container& container);

enum class AliasResult {
  written,
  already_there,  ///< The user's own entry gives the same address: left alone, and remove_alias() leaves it too.
};

/// Adds the alias. @throws Error: conflict ("host port exposure … already defined") when the user's own entry gives
/// another address, not_found when the container has gone, failure.
AliasResult write_alias(const AliasRecord& record, std::string_view alias, Ipv4 address, std::string_view lease);

/// Removes what write_alias() added for this lease. Nothing when the container or the line is gone. @throws Error.
void remove_alias(const AliasRecord& record, std::string_view lease);

}  // namespace hostnet::engine
