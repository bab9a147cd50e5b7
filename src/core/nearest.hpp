// Names close to a mistyped one, for messages that say what there is: options, commands, networks, leases.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// Insertions, deletions, replacements and swaps of neighbours between two words, regardless of ASCII case.
/// Words longer than 64 bytes are compared by their beginnings, which bounds the time for foreign names.
std::size_t edit_distance(std::string_view left, std::string_view right);

/// The name that was probably meant: at most one edit per three bytes away (at least one), or, from three bytes
/// on, the only one that begins with `word`. nullopt when none is that close.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names);

/// "'web', 'db' and 3 more": the nearest first, at most `shown`, each once; empty without names.
std::string nearest_first(std::string_view word, const std::vector<std::string>& names,
                          std::size_t shown = 5);

}  // namespace hostnet
