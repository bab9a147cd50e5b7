// The text of a hosts(5) file: finding, adding and removing the alias. Pure functions.
//
// A line counts as far as its first '#'. Host names are compared without regard to case. A line is ours when
// its comment is "tc-hostnet <lease>" and nothing else; whoever edits that comment makes the line their own.
#pragma once

#include "core/ipv4.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::engine {

/// The line that gives `alias` the address, marked as ours for `lease`; ends in a newline.
/// @throws Error{invalid_argument} when alias or lease is empty or has blanks, control characters or '#': the
/// line
///         would not be the one that the other functions recognise.
std::string alias_line(std::string_view alias, Ipv4 address, std::string_view lease);

/// The address text of the first line that defines `alias` and is not ours; nullopt when there is none.
std::optional<std::string> foreign_definition(std::string_view hosts, std::string_view alias);

/// A line that gives a name an address.
struct Definition {
  std::string address;  ///< As it stands there.
  std::string lease;    ///< Whose line of ours it is; empty for one of the user's own.
};

/// Who else than `lease` gives `alias` an address: the user, else another lease; nullopt when nobody does.
std::optional<Definition> definition_by_others(std::string_view hosts, std::string_view alias,
                                               std::string_view lease);

/// Whether any line, ours or not, gives `alias`.
bool defines(std::string_view hosts, std::string_view alias);

/// `hosts` with our line for the lease at its end (after a newline, should the last line lack one); unchanged
/// when it has that very line. @throws as alias_line().
std::string with_alias(std::string_view hosts, std::string_view alias, Ipv4 address, std::string_view lease);

/// `hosts` without our lines for this lease; every other byte is kept, a missing last newline too.
std::string without_alias(std::string_view hosts, std::string_view lease);

}  // namespace hostnet::engine
