// JSON: output byte by byte, and parsing of untrusted text.
#include "core/json.hpp"
#include "core/json_reader.hpp"
#include "core/sanitized.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <climits>
#include <ctime>
#include <string>

using namespace hostnet;
using namespace std::chrono_literals;
using test::contains;

namespace {

// parse()'s complaint about a text; empty if it accepts it.
std::string refusal(std::string_view text, const json::Limits& limits = {}) {
  try {
    static_cast<void>(json::parse(text, limits));
    return {};
  } catch (const json::Unreadable& fault) {
    return fault.what();
  }
}

[[noreturn]] void complain(const std::string& what) { throw Error(Errc::conflict, "seen: " + what); }

template <class Call>
std::string complaint(Call call) {
  const auto error = test::error_of(call);
  CHECK(error.code() == Errc::conflict);
  return error.what();
}

std::string repeated(std::string_view part, std::size_t size) {
  std::string out;
  out.reserve(size);
  while (out.size() + part.size() <= size) out += part;
  return out;
}

}  // namespace

TEST_CASE("every kind of value is written on one line, members sorted by name") {
  const std::optional<std::string> some = "x";
  const std::optional<int> none;
  const json::Value value{{"text", "a\"\\\n\x01é/"},
                          {"view", std::string_view("cut off", 3)},
                          {"true", true},
                          {"least", INT64_MIN},
                          {"most", UINT64_MAX},
                          {"half", 0.5},
                          {"null", nullptr},
                          {"some", some},
                          {"none", none},
                          {"list", std::vector<std::string>{"b", "a"}},
                          {"map", std::map<std::string, std::string>{{"k", "v"}}},
                          {"object", {{"z", 1}, {"a", json::array({1, "two", json::object()})}}}};
  CHECK(
      value.dump() ==
      R"({"half":0.5,"least":-9223372036854775808,"list":["b","a"],"map":{"k":"v"},"most":18446744073709551615,)"
      R"("none":null,"null":null,"object":{"a":[1,"two",{}],"z":1},"some":"x","text":"a\"\\\n\u0001é/",)"
      R"("true":true,"view":"cut"})");
  CHECK(json::parse(value.dump()) == value);
  CHECK(json::Value{}.dump() == "null");
  CHECK(json::array().dump() == "[]");
  CHECK(json::Value{{"a", json::array({1})}}.dump_in_lines() == "{\n \"a\": [\n  1\n ]\n}");
}

TEST_CASE("bytes that are not UTF-8 are replaced, or refused where text must not change") {
  const json::Value value{{"a", "\xff|\xc3"}};
  CHECK(value.dump() == "{\"a\":\"\uFFFD|\uFFFD\"}");
  CHECK_FALSE(value.dump_exact());
  CHECK(json::Value{{"a", "é"}}.dump_exact() == "{\"a\":\"é\"}");
}

TEST_CASE("values copy and move into others, and members can be set") {
  json::Value inner{{"a", 1}};
  const json::Value copied{{"inner", inner}};
  CHECK(inner.dump() == R"({"a":1})");
  const json::Value moved{{"inner", std::move(inner)}};
  CHECK(moved == copied);
  auto changed = copied;
  changed["inner"]["b"].push_back({{"c", true}});
  changed["list"].push_back("x");
  changed["list"].push_back("y");
  changed["list"][1] = nullptr;
  CHECK(changed.dump() == R"({"inner":{"a":1,"b":[{"c":true}]},"list":["x",null]})");
  CHECK(copied.dump() == R"({"inner":{"a":1}})");
  CHECK(changed.size() == 2);
}

TEST_CASE("any query on any view throws nothing") {
  const auto value = json::parse(R"({"a":[1,-1,1.5,"x",true,null,18446744073709551615],"b":{"k":"v"}})");
  const auto list = value.view().find("a");
  CHECK(list.size() == 7);
  CHECK(list[0].integer() == 1);
  CHECK(list[0].natural() == 1U);
  CHECK(list[1].integer() == -1);
  CHECK_FALSE(list[1].natural());
  CHECK(list[2].real() == 1.5);
  CHECK_FALSE(list[2].integer());
  CHECK(list[3].text() == "x");
  CHECK(list[4].flag() == true);
  CHECK(list[5].is_null());
  CHECK_FALSE(list[6].integer());
  CHECK(list[6].natural() == UINT64_MAX);
  CHECK_FALSE(list[7].is_there());
  CHECK_FALSE(list.find("a").is_there());
  CHECK_FALSE(list[3][0].find("x").text());
  CHECK(list.elements().size() == 7);
  const auto members = value.view().find("b").members();
  REQUIRE(members.size() == 1);
  CHECK(members[0].first == "k");
  CHECK(members[0].second.text() == "v");
  CHECK(json::View().dump().empty());
}

TEST_CASE("text that is not JSON or exceeds a limit is refused") {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\"}", "nan", "\"\xff\"", "{}{}", "1e999", "'a'"})
    CHECK(contains(refusal(text), "not JSON"));
  CHECK(refusal(R"({"a":1,"a":2})").empty());
  const auto twice = json::parse(R"({"a":1,"a":2})");
  CHECK(twice.view().find("a").integer() == 2);
  CHECK(refusal("[[[]]]", {.depth = 3}).empty());
  CHECK(contains(refusal("[[[]]]", {.depth = 2}), "nested deeper than 2 levels"));
  CHECK(contains(refusal(R"({"a":{"a":{}}})", {.depth = 2}), "nested deeper than 2 levels"));
  CHECK(refusal(R"([1,{"a":2}])", {.values = 4}).empty());
  CHECK(contains(refusal(R"([1,{"a":2}])", {.values = 3}), "more than 3 values"));
}

TEST_CASE("a deadline ends parsing, whether it passes before or during it") {
  CHECK(test::error_of([] { json::parse("[]", {.deadline = Deadline::after(0ms)}); }).code() ==
        Errc::timed_out);
  // Some seconds of work without the deadline.
  const auto text = "[" + repeated("{},", 64U << 20) + "{}]";
  CHECK(test::error_of([&] {
          json::parse(text, {.values = SIZE_MAX, .deadline = Deadline::after(50ms)});
        }).code() == Errc::timed_out);
}

TEST_CASE("sixteen mebibytes of the worst shapes are parsed or refused in linear time") {
  constexpr std::size_t size = kSanitized ? 1U << 20 : 16U << 20;
  std::string names = "{";
  for (unsigned i = 0; names.size() < size; ++i) names += '"' + std::to_string(i * 2654435761U) + "\":0,";
  for (const auto& text :
       {"[" + repeated("{},", size) + "{}]", "[" + repeated("1,", size) + "1]",
        "[" + repeated("[[]],", size) + "1]", "[" + repeated("\"\",", size) + "1]",
        "{" + repeated("\"a\":{},", size) + "\"a\":0}", names + "\"a\":0}",
        "[" + repeated(R"({"a":[{"b":{}}]},)", size) + "1]", repeated("[{\"a\":", size),
        std::string(size, '['), std::string(size, '1'), "0." + std::string(size, '1'),
        '"' + std::string(size, 'x'), '"' + std::string(size, 'x') + '"',
        '"' + repeated("\\u00e9", size) + '"', std::string(size, ' '),
        "{\"" + std::string(size, 'k') + "\":0}", "{\"" + std::string(size, 'k'), std::string(size, '\0')}) {
    CAPTURE(text.substr(0, 20));
    const auto begin = std::clock();
    refusal(text);
    const auto seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;  // of this process
    CHECK(seconds < 5);
  }
  CHECK(contains(refusal("[" + repeated("{},", 2U << 20) + "{}]"), "more than 500000 values"));
}

TEST_CASE("a reader names the field in its user's error type") {
  CHECK(complaint([] { json::read("[", {}, complain); }).starts_with("seen: not JSON"));
  const auto document = json::read(
      R"({"a":{"b c":[1,"x",-1,1.5]},"n":null,"s":["p","q"],"m":{"k":"v"},"t":true})", {}, complain);
  const json::Reader reader(document);
  CHECK(complaint([&] { static_cast<void>(reader.at("x")); }) == "seen: x is missing");
  CHECK(complaint([&] { static_cast<void>(reader.at("n")); }) == "seen: n is missing");
  CHECK_FALSE(reader.maybe("n"));
  CHECK(reader.contains("n"));
  CHECK_FALSE(reader.contains("x"));
  CHECK(reader.at("t").boolean());
  CHECK(reader.at("s").strings() == std::vector<std::string>{"p", "q"});
  CHECK(reader.strings_or_empty("m") == std::map<std::string, std::string>{{"k", "v"}});
  CHECK(reader.string_or_empty("x").empty());
  std::vector<std::string> seen;
  reader.at("a").at("b c").each_element([&](const json::Reader& one) {
    try {
      seen.push_back(std::to_string(one.number<std::uint8_t>()));
    } catch (const Error& error) {
      seen.emplace_back(error.what());
    }
  });
  CHECK(seen == std::vector<std::string>{"1", "seen: a.'b c'[1] is of type string, not a whole number",
                                         "seen: a.'b c'[2] is -1, not a whole number from 0 to 255",
                                         "seen: a.'b c'[3] is of type number, not a whole number"});
  CHECK(complaint([&] { static_cast<void>(reader.at("a").strings()); }) ==
        "seen: a is of type object, not a list");
}

TEST_CASE("numbers are accepted only if the type can hold them") {
  const auto of = [](const char* text, auto type) {
    const auto document = json::read(text, {}, complain);
    return json::Reader(document).number<decltype(type)>() == type;
  };
  CHECK(of("18446744073709551615", UINT64_MAX));
  CHECK(of("-9223372036854775808", INT64_MIN));
  CHECK(of("-2147483648", INT_MIN));
  for (const char* text :
       {"2147483648", "-2147483649", "18446744073709551615", "1e3", "1.0", "\"1\"", "true", "null"})
    CHECK_FALSE(complaint([&] { static_cast<void>(of(text, 0)); }).empty());
  for (const char* text : {"-1", "4294967296", "18446744073709551616", "-9223372036854775809"})
    CHECK_FALSE(complaint([&] { static_cast<void>(of(text, 0U)); }).empty());
}
