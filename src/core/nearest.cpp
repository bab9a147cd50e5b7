// The distance of optimal string alignment, and the choices that it makes possible.
#include "core/nearest.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace hostnet {
namespace {

constexpr std::size_t kCompared = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::size_t edit_distance(std::string_view left, std::string_view right) {
  left = left.substr(0, kCompared);
  right = right.substr(0, kCompared);
  using Line = std::array<std::size_t, kCompared + 1>;
  std::array<Line, 3> lines{};  // of the table: i - 2, i - 1 and i, in turn
  for (std::size_t j = 0; j <= right.size(); ++j) lines[0].at(j) = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    const auto& above = lines.at((i - 1) % 3);
    auto& line = lines.at(i % 3);
    line[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const bool same = lower(left[i - 1]) == lower(right[j - 1]);
      line.at(j) = std::min({above.at(j) + 1, line.at(j - 1) + 1, above.at(j - 1) + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(left[i - 1]) == lower(right[j - 2]) &&
          lower(left[i - 2]) == lower(right[j - 1]))
        line.at(j) = std::min(line.at(j), lines.at((i - 2) % 3).at(j - 2) + 1);
    }
  }
  return lines.at(left.size() % 3).at(right.size());
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  std::size_t distance = std::max<std::size_t>(1, std::max<std::size_t>(word.size(), 3) / 3) + 1;
  const std::string* beginning_so = nullptr;
  std::size_t begin_so = 0;
  for (const auto& name : names) {
    if (const auto found = edit_distance(word, name); found < distance) {
      distance = found;
      best = &name;
    }
    if (word.size() >= 3 && name.starts_with(word)) {
      beginning_so = &name;
      ++begin_so;
    }
  }
  if (begin_so == 1 && distance > 1) return *beginning_so;
  return best == nullptr ? std::nullopt : std::optional(*best);
}

std::string nearest_first(std::string_view word, const std::vector<std::string>& names, std::size_t shown) {
  std::set<std::pair<std::size_t, std::string_view>> sorted;  // by distance, then by name
  for (const std::string_view name : names)
    sorted.emplace(name.starts_with(word) && !word.empty() ? 0 : edit_distance(word, name), name);
  std::vector<std::string> parts;
  for (const auto& [distance, name] : sorted) {
    if (parts.size() == shown) break;
    parts.push_back(quote(name));
  }
  if (sorted.size() > shown) parts.push_back(fmt::format("{} more", sorted.size() - shown));
  return list_of(parts);
}

Error no_such(std::string_view kind, std::string_view name, const std::vector<std::string>& names,
              std::string see) {
  auto what = fmt::format("there is no {} {}", kind, quote(name));
  if (names.empty()) return {Errc::not_found, fmt::format("{}, nor any other", what), std::move(see)};
  what += fmt::format("; there {} {}", names.size() == 1 ? "is only" : "are",
                      nearest_first(name, names, kNamesShown));
  if (const auto meant = nearest(name, names)) see = fmt::format("did you mean {}?", quote(*meant));
  return {Errc::not_found, what, std::move(see)};
}

}  // namespace hostnet
