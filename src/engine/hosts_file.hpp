// Finds, adds and removes the alias in the text of a hosts(5) file. Pure functions.
//
// A '#' ends a line's content. Host names are compared without regard to case. A line is ours if its comment
// is exactly "tc-hostnet <lease>", and the lease an id; a user who edits that comment takes the line over.
#pragma once

#include "core/ip.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// The line that gives `alias` the address, marked as ours for `lease`; ends in a newline.
/// @throws Error{invalid_argument} when the alias is empty or has blanks, control characters or '#', or the
/// lease is no word of letters, digits, '-' and '_': the other functions would not recognise the line.
std::string alias_line(std::string_view alias, Ip address, std::string_view lease);

/// The address text of the first line that defines `alias` and is not ours; nullopt without such a line.
std::optional<std::string> foreign_definition(std::string_view hosts, std::string_view alias);

/// A line that gives a name an address.
struct Definition {
  std::string address;  ///< As written in the file.
  std::string lease;    ///< The lease of our line; empty for the user's own line.
};

/// A definition of `alias` that is neither from `lease` nor from one `beside` it: the user's, else another lease's;
/// nullopt without one. `beside` has leases, and addresses: a bare line that gives one of these is such a lease's.
std::optional<Definition> definition_by_others(std::string_view hosts, std::string_view alias,
                                               std::string_view lease,
                                               std::span<const std::string> beside = {});

/// What a resolver goes by: the first line, anyone's, that gives `alias` an IPv4 address, then the first for IPv6.
std::vector<Definition> first_definitions(std::string_view hosts, std::string_view alias);

/// Whether any line, ours or not, gives `alias`.
bool defines(std::string_view hosts, std::string_view alias);

/// `hosts` with our line for the lease appended, after a newline if the last line lacks one; unchanged if it
/// has exactly that line already. @throws as alias_line().
std::string with_alias(std::string_view hosts, std::string_view alias, Ip address, std::string_view lease);

/// `hosts` with our mark on each bare line that gives `alias` that address. A bare line has one name and no comment: Podman
/// leaves our lines so when it writes the file anew, because a container has left a network. @throws as alias_line().
std::string with_marks(std::string_view hosts, std::string_view alias, Ip address, std::string_view lease);

/// `hosts` without our lines for this lease. Keeps every other byte, and a missing last newline missing.
std::string without_alias(std::string_view hosts, std::string_view lease);

}  // namespace hostnet::engine
