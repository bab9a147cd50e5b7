// Strict numbers and safe display.
#include "core/join.hpp"
#include "core/strings.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace hostnet;

TEST_CASE("parse_number accepts only digits, up to its maximum") {
  CHECK(parse_number("0", 10) == 0);
  CHECK(parse_number("10", 10) == 10);
  CHECK(parse_number("18446744073709551615", UINT64_MAX) == UINT64_MAX);
  for (const char* text : {"", "11", "-1", "+1", " 1", "1 ", "0x1", "1e0", "18446744073709551616"})
    CHECK_MESSAGE(!parse_number(text, 10), text);
}

TEST_CASE("join puts the separator between the parts only") {
  CHECK(join(std::vector<std::string>{}, ", ") == "");
  CHECK(join(std::vector<std::string>{"a"}, ", ") == "a");
  CHECK(join(std::vector<std::string>{"a", "", "b"}, ", ") == "a, , b");
  const std::vector<std::string_view> views{"a", "b", "c"};
  CHECK(join(views.begin(), views.end() - 1, "") == "ab");
}

TEST_CASE("split keeps empty parts") {
  CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
  CHECK(split(",", ',') == std::vector<std::string_view>{"", ""});
}

TEST_CASE("parts of a temporary string are copies") {
  const std::string kept = " kept ";
  static_assert(std::is_same_v<decltype(trim(kept)), std::string_view>);
  static_assert(std::is_same_v<decltype(beginning(kept, 2)), std::string_view>);
  const auto trimmed = trim(std::string(" short "));  // in the small-string buffer, not on the heap
  const auto begun = beginning(std::string("short"), 2);
  static_assert(std::is_same_v<decltype(trimmed), const std::string>);
  static_assert(std::is_same_v<decltype(begun), const std::string>);
  CHECK(trimmed == "short");
  CHECK(begun == "sh");
}

TEST_CASE("trim") {
  CHECK(trim(" \t a b\r\n") == "a b");
  CHECK(trim(" \n").empty());
}

TEST_CASE("quoted shows control characters and cuts long text") {
  CHECK(quote("a\x1b[31m\n") == "'a\\x1b[31m\\x0a'");
  CHECK(quote(std::string(200, 'x')) == "'" + std::string(80, 'x') + "…'");
}

TEST_CASE("shell_word quotes only where a shell would see more than one plain word") {
  CHECK(shell_word("br-0a1b") == "br-0a1b");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("a b") == "'a b'");
  CHECK(shell_word("it's $HOME") == "'it'\\''s $HOME'");
}

TEST_CASE("list_of") {
  CHECK(list_of({}).empty());
  CHECK(list_of({"a"}) == "a");
  CHECK(list_of({"a", "b", "c"}) == "a, b and c");
}
