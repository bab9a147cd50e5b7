// Small text helpers: strict numbers, splitting, and quoting of untrusted text.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet {

/// A decimal number of digits only (no sign, no space), at most `max`; nullopt for anything else.
std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t max);

/// Splits at every `separator`; "a,,b" gives three parts, "" gives one empty part. The parts are views into
/// `text`, so a temporary does not compile.
std::vector<std::string_view> split(std::string_view text, char separator);
template <std::same_as<std::string> Temporary>
std::vector<std::string_view> split(Temporary&& text, char separator) = delete;

/// `text` without leading and trailing blanks, tabs and line ends: a view into it, or a copy of a temporary.
std::string_view trim(std::string_view text);
template <std::same_as<std::string> Temporary>
std::string trim(Temporary&& text) {
  return std::string(trim(std::string_view(text)));
}

/// The beginning of `text`, at most `limit` bytes, without a partial UTF-8 character at its end. View or copy
/// as in trim().
std::string_view beginning(std::string_view text, std::size_t limit);
template <std::same_as<std::string> Temporary>
std::string beginning(Temporary&& text, std::size_t limit) {
  return std::string(beginning(std::string_view(text), limit));
}

/// `text` in single quotes for an error message: printable() (core/printable.hpp), cut after 80 bytes.
std::string quote(std::string_view text);

/// `text` as one word of a POSIX shell command line, quoted only where needed.
std::string shell_word(std::string_view text);

/// "a", "a and b", "a, b and c".
std::string list_of(const std::vector<std::string>& parts);

}  // namespace hostnet
