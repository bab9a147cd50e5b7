// The table of hidden code points, and the escapes for them.
#include "core/printable.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace hostnet {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Categories Cc, Cf, Zl, Zp and Cs, and Default_Ignorable_Code_Point, of Unicode 15; sorted. is_printable()
// handles the noncharacters at the end of each plane.
constexpr std::array kHidden{
    Range{0x00, 0x1f},       Range{0x7f, 0x9f},       Range{0xad, 0xad},       Range{0x34f, 0x34f},
    Range{0x600, 0x605},     Range{0x61c, 0x61c},     Range{0x6dd, 0x6dd},     Range{0x70f, 0x70f},
    Range{0x890, 0x891},     Range{0x8e2, 0x8e2},     Range{0x115f, 0x1160},   Range{0x17b4, 0x17b5},
    Range{0x180b, 0x180f},   Range{0x200b, 0x200f},   Range{0x2028, 0x202e},   Range{0x2060, 0x206f},
    Range{0x3164, 0x3164},   Range{0xd800, 0xdfff},   Range{0xfdd0, 0xfdef},   Range{0xfe00, 0xfe0f},
    Range{0xfeff, 0xfeff},   Range{0xffa0, 0xffa0},   Range{0xfff0, 0xfffb},   Range{0x110bd, 0x110bd},
    Range{0x110cd, 0x110cd}, Range{0x13430, 0x1343f}, Range{0x1bca0, 0x1bca3}, Range{0x1d173, 0x1d17a},
    Range{0xe0000, 0xe0fff},
};

constexpr char32_t kLast = 0x10ffff;
constexpr char32_t kReplacement = 0xfffd;

struct Decoded {
  char32_t point;
  std::size_t length;
};

// Decodes the first code point of `text`, which is not empty; nullopt if `text` does not start with valid
// UTF-8.
std::optional<Decoded> decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return Decoded{first, 1};
  const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length == 0 || length > text.size()) return std::nullopt;
  char32_t point = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return std::nullopt;
    point = point << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (overlong || surrogate || point > kLast) return std::nullopt;
  return Decoded{point, length};
}

bool is_plain_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string escape(char32_t point) {
  const auto number = static_cast<std::uint32_t>(point);
  if (number < 0x80) return fmt::format("\\x{:02x}", number);
  return number <= 0xffff ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number);
}

std::string json_escape(char32_t point) {
  const auto number = static_cast<std::uint32_t>(point);
  if (number <= 0xffff) return fmt::format("\\u{:04x}", number);
  return fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((number - 0x10000) >> 10), 0xdc00 + (number & 0x3ff));
}

// `text` with unprintable code points replaced by of_point() and bytes that are not UTF-8 by of_byte().
template <class OfPoint, class OfByte>
std::string replaced(std::string_view text, OfPoint of_point, OfByte of_byte) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto found = decode(text);
    const auto length = found ? found->length : 1;
    if (!found)
      out += of_byte(static_cast<unsigned char>(text.front()));
    else if (is_printable(found->point))
      out += text.substr(0, length);
    else
      out += of_point(found->point);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

bool is_printable(char32_t point) noexcept {
  if (point > kLast || (point & 0xfffe) == 0xfffe) return false;
  const auto* const range = std::ranges::lower_bound(kHidden, point, {}, &Range::last);
  return range == kHidden.end() || point < range->first;
}

std::string printable(std::string_view text) {
  if (is_plain_ascii(text)) return std::string(text);
  return replaced(text, escape, [](unsigned char byte) { return fmt::format("\\x{:02x}", byte); });
}

std::string printable(std::string_view text, std::size_t limit) {
  const auto read = beginning(text, limit);
  const auto escaped = printable(read);  // up to four times as long
  const auto shown = beginning(escaped, limit);
  const bool cut = read.size() < text.size() || shown.size() < escaped.size();
  return std::string(shown) + (cut ? "…" : "");
}

std::string printable_json(std::string_view json) {
  if (is_plain_ascii(json)) return std::string(json);
  return replaced(json, json_escape, [](unsigned char) { return json_escape(kReplacement); });
}

}  // namespace hostnet
