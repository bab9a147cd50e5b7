// How the command speaks: data on standard output, prose on standard error, one line an error.
//
// All text goes through the type Text, which escapes what others put into it (core/printable.hpp). Nothing
// else in the command writes to a terminal, but for `run --image`, which passes the container's own output
// on.
#pragma once

#include "cli/command.hpp"
#include "core/json.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

enum class Tone { good, bad, doubtful, strong, faint };

/// Text that a terminal can take. Made from plain text, it is one printable line whatever that has in it;
/// only paint() adds control sequences, and only table() line ends. fmt does not take it and it does not
/// convert back, so that painted text cannot be escaped, nor plain text pass by mistake: pieces are joined
/// with +.
class Text {
 public:
  Text() = default;
  Text(const char* plain) : Text(std::string_view(plain)) {}
  Text(const std::string& plain) : Text(std::string_view(plain)) {}
  Text(std::string_view plain);

  Text& operator+=(const Text& more);
  friend Text operator+(Text left, const Text& right) { return left += right; }

  /// As it is written, with the control sequences of paint().
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  /// Columns it takes: one a code point.
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

 private:
  friend Text paint(Tone tone, const Text& text, bool to_stderr);
  friend Text table(const std::vector<std::vector<Text>>& rows);

  std::string text_;
  std::size_t width_ = 0;
};

using Row = std::vector<Text>;

/// Sets verbosity and colour, and connects the library's log sink to standard error.
void set_up_output(const Globals& globals);

/// From now on, the library's warnings for which `detail` holds are shown with --verbose alone: for a command
/// that tells the same in its own words.
void demote_warnings(bool (*detail)(std::string_view line));

/// "tc-hostnet: what: why; next step" on standard error.
void print_error(const Error& error);

/// A line of prose on standard error, unless --quiet.
void say(const Text& line);

/// A line of data on standard output, flushed: a reader at a pipe gets it at once.
/// @throws Error when it cannot be written.
void print(const Text& line);

/// One JSON object with "schema": 1 in it, as a line of data. @throws as print().
void print_json(json::Value object);

/// Columns padded to the widest cell; the first row is the heading.
Text table(const std::vector<Row>& rows);

/// The text in colour where standard output (or, for `to_stderr`, standard error) shows colours.
Text paint(Tone tone, const Text& text, bool to_stderr = false);

}  // namespace hostnet::cli
