// The text of a hosts(5) file: finding, adding and removing the alias. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/ipv4.hpp"

namespace hostnet::engine {

/// The line that gives `alias` the address, marked as ours for `lease`; ends in a newline.
std::string alias_line(std::string_view alias, Ipv4 address, std::string_view lease);

/// The address text of the first line that defines `alias` and is not ours; nullopt when there is none.
std::optional<std::string> foreign_definition(std::string_view hosts, std::string_view alias);

/// Whether any line, ours or not, gives `alias`.
bool defines(std::string_view hosts, std::string_view alias);

/// `hosts` with our line for the lease at its end (after a newline, should the last line lack one).
std::string with_alias(std::string_view hosts, std::string_view alias, Ipv4 address, std::string_view lease);

/// `hosts` without our lines for this lease; every other byte is kept, a missing last newline too.
std::string without_alias(std::string_view hosts, std::string_view lease);

}  // namespace hostnet::engine
