// Names close to a mistyped one, for messages that say what there is: options, commands, networks, leases.
#pragma once

#include "hostnet/error.hpp"

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

/// How many names a message about an unknown one lists.
inline constexpr std::size_t kNamesShown = 10;

/// Error{not_found}: "there is no lease 'ab'; there are '12ab' and 'cd34'", with the hint "did you mean …?" or
/// `see`. `name` and `names` may be foreign text of any length.
Error no_such(std::string_view kind, std::string_view name, const std::vector<std::string>& names,
              std::string see);

}  // namespace hostnet
