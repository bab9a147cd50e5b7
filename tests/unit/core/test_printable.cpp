// Foreign text as it is shown on a terminal.
#include "core/log.hpp"
#include "core/printable.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

using namespace hostnet;

namespace {

// UTF-8 by its definition, including surrogates.
std::string utf8(std::uint32_t point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xc0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xe0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | point >> 18), tail(12), tail(6), tail(0)};
}

// Grouped by the reason to hide them, not sorted.
bool is_hidden(std::uint32_t p) {
  const auto in = [p](std::uint32_t first, std::uint32_t last) { return p >= first && p <= last; };
  const bool control = in(0, 0x1f) || in(0x7f, 0x9f);
  const bool bidi = in(0x202a, 0x202e) || in(0x2066, 0x2069) || in(0x200e, 0x200f) || p == 0x61c;
  const bool zero_width = in(0x200b, 0x200d) || p == 0x2060 || p == 0xfeff || p == 0x180e;
  const bool separator = in(0x2028, 0x2029);
  const bool tag = in(0xe0000, 0xe007f);
  const bool selector = in(0xfe00, 0xfe0f) || in(0xe0100, 0xe01ef) || in(0x180b, 0x180d) || p == 0x180f;
  const bool filler = in(0x115f, 0x1160) || p == 0x3164 || p == 0xffa0 || in(0x17b4, 0x17b5) || p == 0x34f;
  const bool other_format = p == 0xad || in(0x600, 0x605) || p == 0x6dd || p == 0x70f || in(0x890, 0x891) ||
                            p == 0x8e2 || in(0x2061, 0x2065) || in(0x206a, 0x206f) || in(0xfff9, 0xfffb) ||
                            p == 0x110bd || p == 0x110cd || in(0x13430, 0x1343f) || in(0x1bca0, 0x1bca3) ||
                            in(0x1d173, 0x1d17a);
  const bool reserved_invisible = in(0xfff0, 0xfff8) || in(0xe0080, 0xe00ff) || in(0xe01f0, 0xe0fff);
  const bool none = in(0xd800, 0xdfff) || in(0xfdd0, 0xfdef) || (p & 0xffff) >= 0xfffe;
  return control || bidi || zero_width || separator || tag || selector || filler || other_format ||
         reserved_invisible || none;
}

// It contains nothing that acts on a terminal, and is UTF-8 by nlohmann's decoder, which is independent of
// ours.
bool is_safe(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  for (std::uint32_t p = 0x80; p < 0xa0; ++p)
    if (text.find(utf8(p)) != std::string::npos) return false;
  for (const auto p : {0x202eU, 0x2066U, 0x200bU, 0x2028U, 0xfeffU, 0xe0041U})
    if (text.find(utf8(p)) != std::string::npos) return false;
  try {
    static_cast<void>(nlohmann::json(text).dump());
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("every code point is shown or escaped, as the table says") {
  std::size_t wrong = 0;
  for (std::uint32_t point = 0; point <= 0x10ffff; ++point) {
    const auto raw = utf8(point);
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;  // three invalid bytes in UTF-8
    const auto escaped = surrogate      ? fmt::format("\\xed\\x{:02x}\\x{:02x}", 0x80 | ((point >> 6) & 0x3f),
                                                      0x80 | (point & 0x3f))
                         : point < 0x80 ? fmt::format("\\x{:02x}", point)
                         : point < 0x10000 ? fmt::format("\\u{:04x}", point)
                                           : fmt::format("\\U{:08x}", point);
    const auto shown = printable(raw);
    const bool right = shown == (is_hidden(point) ? escaped : raw);
    if (right && is_printable(point) != is_hidden(point)) continue;
    if (wrong++ == 0) CHECK_MESSAGE(right, "first: code point ", point, " became ", shown);
  }
  CHECK(wrong == 0);
  CHECK_FALSE(is_printable(0x110000));
  CHECK_FALSE(is_printable(0xffffffff));
}

TEST_CASE("terminal controls are made visible") {
  CHECK(printable("\x1b[2J\x1b]0;PWN\a\n") == "\\x1b[2J\\x1b]0;PWN\\x07\\x0a");
  CHECK(printable("\xc2\x9b"
                  "31mred") == "\\u009b31mred");
  CHECK(printable("\x9b"
                  "31mred") == "\\x9b31mred");
  CHECK(printable("a\u202etxet\u2066\u200f") == "a\\u202etxet\\u2066\\u200f");
  CHECK(printable("z\u200bw\ufeff") == "z\\u200bw\\ufeff");
  CHECK(printable("one\u2028two\r\nthree\t") == "one\\u2028two\\x0d\\x0athree\\x09");
  CHECK(printable("\U000e0041") == "\\U000e0041");
  CHECK(printable(std::string_view("nul\0byte", 8)) == "nul\\x00byte");
}

TEST_CASE("ordinary text stays unchanged") {
  for (const char* text :
       {"", "plain", "Ελληνικά 日本語 हिन्दी", "→ … ✓ ✗", "🐳", "back\\slash", "é", "e\u0301"})
    CHECK(printable(text) == text);
}

TEST_CASE("bytes that are not UTF-8") {
  CHECK(printable("\xff") == "\\xff");
  CHECK(printable("\xc0\x9b") == "\\xc0\\x9b");                    // overlong
  CHECK(printable("\xe0\x80\x9b") == "\\xe0\\x80\\x9b");           // overlong
  CHECK(printable("\xf0\x80\x80\x9b") == "\\xf0\\x80\\x80\\x9b");  // overlong
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond the last
  CHECK(printable("\xe2\x80") == "\\xe2\\x80");                    // cut
  CHECK(printable("\xe2\x1b[m") == "\\xe2\\x1b[m");                // an escape in place of a continuation
  CHECK(printable("\xc3\xa9\xc3") == "é\\xc3");
}

TEST_CASE("the output is safe for any input, and escaping it again changes nothing") {
  std::mt19937 random(20261128);  // NOLINT: the same each time
  const std::vector<std::string> pieces{"\x1b",         "[31m", "\xc2", "\x9b", "\xe2\x80", "\xae",
                                        "\xed\xa0\x80", "\\",   "x1b",  "→",    "\n",       "\xf3",
                                        "\xa0",         "\x81", "\x81", "a",    "\x7f"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const auto length = random() % 24;
    for (unsigned i = 0; i < length; ++i)
      text += random() % 2 == 0 ? std::string(1, static_cast<char>(random() & 0xff))
                                : pieces[random() % pieces.size()];
    const auto shown = printable(text);
    REQUIRE_MESSAGE(is_safe(shown), shown);
    REQUIRE(printable(shown) == shown);
  }
}

TEST_CASE("JSON keeps its value, with no such code point in its text") {
  const nlohmann::json object{{"label", "\u009b31m\u202e\u200b\x7f\U000e0041"},
                              {"name", "日本語 \\ \" \x1b\n"}};
  const auto text = printable_json(object.dump());
  CHECK(is_safe(text));
  CHECK(text.find(R"(\u009b31m\u202e\u200b\u007f\udb40\udc41)") != std::string::npos);
  CHECK(text.find("日本語") != std::string::npos);
  CHECK(nlohmann::json::parse(text) == object);
  CHECK(nlohmann::json::parse(printable_json("\"\x9b\"")).get<std::string>() == "\ufffd");
}

TEST_CASE("errors, log lines and quotes are safe by themselves") {
  const std::string evil = "\x1b[31mX\u009b31m\u202e\n!";
  const std::string shown = "\\x1b[31mX\\u009b31m\\u202e\\x0a!";
  const Error error(Errc::failure, evil, evil);
  CHECK(error.what() == shown);
  CHECK(error.hint() == shown);
  CHECK(error.in_context(evil).what() == shown + ": " + shown);
  CHECK(Error::from_errno(evil, EIO).what() == shown + ": Input/output error");
  CHECK(quote(evil) == "'" + shown + "'");

  std::string heard;
  set_log_sink([&](LogLevel, std::string_view line) { heard = line; });
  log::warn("{}", evil);
  set_log_sink({});
  CHECK(heard == shown);
}

TEST_CASE("a cut does not split a character") {
  CHECK(beginning("aé", 2) == "a");
  CHECK(beginning("aé", 3) == "aé");
  CHECK(beginning("🐳", 3).empty());
  CHECK(beginning("\x80\x80\x80\x80\x80\x80", 5).size() == 2);
  CHECK(is_safe(quote(std::string(79, 'x') + "→")));
  CHECK(quote(std::string(79, 'x') + "→") == "'" + std::string(79, 'x') + "…'");
}
