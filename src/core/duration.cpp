// Reads units from the largest to the smallest.
#include "core/duration.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace hostnet {
namespace {

using std::chrono::milliseconds;

struct DurationUnit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array kUnits{DurationUnit{"d", 86'400'000}, DurationUnit{"h", 3'600'000},
                            DurationUnit{"m", 60'000}, DurationUnit{"s", 1000}, DurationUnit{"ms", 1}};
constexpr const char* kFormHint = "the units are d, h, m, s and ms: 90, 90s, 15m, 1h30m, 1d";

[[noreturn]] void refuse(std::string_view text, std::string_view why, const std::string& hint = kFormHint) {
  throw Error(Errc::invalid_argument, fmt::format("{} is not a duration: {}", quote(text), why), hint);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

milliseconds parse_duration(std::string_view text, milliseconds least, milliseconds most) {
  if (text.empty()) refuse(text, "it is empty");
  if (text.front() == '-') refuse(text, "it is negative");
  constexpr auto far = std::numeric_limits<std::int64_t>::max();
  std::int64_t total = 0;
  auto next = kUnits.begin();  // the largest unit that may follow
  for (auto rest = text; !rest.empty();) {
    const auto digits = static_cast<std::size_t>(std::ranges::find_if_not(rest, is_digit) - rest.begin());
    if (digits == 0) refuse(text, fmt::format("a number is missing before {}", quote(rest)));
    const auto after = rest.substr(digits);
    const auto letters = static_cast<std::size_t>(std::ranges::find_if(after, is_digit) - after.begin());
    const bool bare = letters == 0 && digits == text.size();
    if (letters == 0 && !bare)
      refuse(text, fmt::format("a unit is missing after {}", quote(rest.substr(0, digits))));
    const auto name = bare ? std::string_view("s") : after.substr(0, letters);
    const auto unit = std::ranges::find(kUnits, name, &DurationUnit::name);
    if (unit == kUnits.end()) refuse(text, fmt::format("{} is not a unit", quote(name)));
    if (unit < next) refuse(text, fmt::format("{} is out of order or given twice", quote(name)));
    next = unit + 1;
    const auto count = parse_number(rest.substr(0, digits), far);
    // Saturates: the range below refuses it then.
    const auto limit = static_cast<std::uint64_t>((far - total) / unit->milliseconds);
    total = !count || *count > limit ? far : total + static_cast<std::int64_t>(*count) * unit->milliseconds;
    rest = after.substr(letters);
  }
  const milliseconds span{total};
  const auto range = fmt::format("it is from {} to {}", duration_text(least), duration_text(most));
  if (span < least) throw Error(Errc::invalid_argument, fmt::format("{} is too short", quote(text)), range);
  if (span > most) throw Error(Errc::invalid_argument, fmt::format("{} is too long", quote(text)), range);
  return span;
}

std::string duration_text(milliseconds span) {
  std::string out;
  auto left = span.count();
  for (const auto& unit : kUnits) {
    const auto count = left / unit.milliseconds;
    left %= unit.milliseconds;
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : " ", count, unit.name);
  }
  return out.empty() ? "0 s" : out;
}

}  // namespace hostnet
