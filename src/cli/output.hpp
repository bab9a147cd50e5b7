// How the command speaks: data on standard output, prose on standard error, one line an error.
#pragma once

#include "cli/command.hpp"
#include "core/json.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

/// Sets verbosity and colour, and connects the library's log sink to standard error.
void set_up_output(const Globals& globals);

/// From now on, the library's warnings for which `detail` holds are shown with --verbose alone: for a command
/// that tells the same in its own words.
void demote_warnings(bool (*detail)(std::string_view line));

/// "tc-hostnet: what: why; next step" on standard error.
void print_error(const Error& error);

/// A line of prose on standard error, unless --quiet.
void say(const std::string& line);

/// A line of data on standard output, flushed: a reader at a pipe gets it at once.
/// @throws Error when it cannot be written.
void print(const std::string& line);

/// print() of one JSON object with "schema": 1 in it.
void print_json(json::Value object);

/// One line, whatever an engine or a name put into it: control characters become blanks.
std::string one_line(std::string text);

/// Columns padded to the widest cell; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows);

enum class Tone { good, bad, doubtful, strong, faint };
/// The text in colour where standard output (or, for `to_stderr`, standard error) shows colours.
std::string paint(Tone tone, const std::string& text, bool to_stderr = false);

}  // namespace hostnet::cli
