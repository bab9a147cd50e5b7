// Output of the command: data on standard output, messages on standard error, one line per error. With --json
// both are JSON, one object per line (docs/json.md).
//
// All output goes through the type Text, which escapes control characters from other sources
// (core/printable.hpp). The one exception is `run --image`, which passes the container's output through.
#pragma once

#include "cli/command.hpp"
#include "core/json.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

enum class Tone { good, bad, doubtful, strong, faint };

/// Text that is safe on a terminal. The constructors turn any plain text into one printable line; only
/// paint() adds control sequences, and only the functions of layout.hpp add line ends. fmt does not accept a Text, and a Text
/// does not convert back to a string: so painted text is never escaped twice and plain text never bypasses
/// the escape. Join pieces with +.
class Text {
 public:
  Text() = default;
  Text(const char* plain) : Text(std::string_view(plain)) {}
  Text(const std::string& plain) : Text(std::string_view(plain)) {}
  Text(std::string_view plain);

  Text& operator+=(const Text& more);
  friend Text operator+(Text left, const Text& right) { return left += right; }

  /// The text as written, including the control sequences of paint().
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  /// Width in columns: one per code point.
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

 private:
  friend Text paint(Tone tone, const Text& text, bool to_stderr);
  friend class Layout;  // layout.cpp

  std::string text_;
  std::size_t width_ = 0;
};

/// Sets verbosity and colour, and connects the library's log sink to standard error.
void set_up_output(const Globals& globals);

/// From now on, shows the library's warnings for which `detail` is true only with --verbose: for a command
/// that reports the same events itself.
void demote_warnings(bool (*detail)(std::string_view line));

/// demote_warnings() for the ends of leases and of their tunnels: "lease 1a2b3c4d released: its container has stopped".
void demote_ends();

/// "tc-hostnet: what: why; next step" on standard error. `exit_code` if the command ends with this error: then
/// it is a member of the JSON.
void print_error(const Error& error, std::optional<int> exit_code = std::nullopt);

/// A message line on standard error, unless --quiet.
void say(const Text& line);

/// Shows a line on standard error in place of the last such line, on a terminal; an empty one removes it. The next
/// message takes its place. Any thread may call it.
void show_status_line(std::string_view line);

/// A line of data on standard output, flushed, so that a reader at a pipe gets it at once.
/// @throws Error when the write fails.
void print(const Text& line);

/// Empties the terminal at standard output, and goes to its top.
void clear_screen();

/// One JSON object, with "schema": 1 added, as a line of data. @throws as print().
void print_json(json::Value object);

/// The text in colour, if standard output (with `to_stderr`: standard error) shows colours; else unchanged.
Text paint(Tone tone, const Text& text, bool to_stderr = false);

}  // namespace hostnet::cli
