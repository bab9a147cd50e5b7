// Durations as people write them.
#include "core/duration.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace hostnet;
using namespace std::chrono_literals;

TEST_CASE("numbers with units") {
  const auto parsed = [](std::string_view text) { return parse_duration(text, 0ms, 365 * 24h); };
  CHECK(parsed("90") == 90s);
  CHECK(parsed("90s") == 90s);
  CHECK(parsed("15m") == 15min);
  CHECK(parsed("1d") == 24h);
  CHECK(parsed("1h30m") == 90min);
  CHECK(parsed("1d2h3m4s5ms") == 26h + 3min + 4s + 5ms);
  CHECK(parsed("1500ms") == 1500ms);
  CHECK(parsed("0") == 0ms);
  CHECK(parsed("1d1ms") == 24h + 1ms);
}

TEST_CASE("what is wrong with a duration") {
  const auto fault = [](std::string_view text) {
    try {
      parse_duration(text, 1s, 30 * 24h);
    } catch (const Error& error) {
      CHECK(error.code() == Errc::invalid_argument);
      CHECK_FALSE(error.hint().empty());
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(fault("") == "'' is not a duration: it is empty");
  CHECK(fault("-5m") == "'-5m' is not a duration: it is negative");
  CHECK(fault("1w") == "'1w' is not a duration: 'w' is not a unit");
  CHECK(fault("1H") == "'1H' is not a duration: 'H' is not a unit");
  CHECK(fault("h") == "'h' is not a duration: a number is missing before 'h'");
  CHECK(fault("1h30") == "'1h30' is not a duration: a unit is missing after '30'");
  CHECK(fault("5m1h") == "'5m1h' is not a duration: 'h' is out of order or given twice");
  CHECK(fault("1s1s") == "'1s1s' is not a duration: 's' is out of order or given twice");
  CHECK(fault("1h-5m") == "'1h-5m' is not a duration: 'h-' is not a unit");
  CHECK(fault("999ms") == "'999ms' is too short");
  for (const char* text : {"31d", "30d1ms", "9223372036854775807d", "99999999999999999999999d",
                           "106751991167d9223372036854775807h", "9223372036854775807"})
    CHECK(fault(text) == "'" + std::string(text) + "' is too long");
  CHECK_THROWS_AS(parse_duration("1h", 2h, 3h), Error);
}

TEST_CASE("a duration in words") {
  CHECK(duration_text(36h) == "1 d 12 h");
  CHECK(duration_text(1s) == "1 s");
  CHECK(duration_text(0ms) == "0 s");
  CHECK(duration_text(250ms) == "250 ms");
}
