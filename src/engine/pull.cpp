// Reads the lines of progress, and the one that reports an error.
#include "engine/pull.hpp"

#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace hostnet::engine {
namespace {

constexpr std::size_t kLongestObject = 1U << 20;
constexpr std::size_t kLongestShown = 400;

std::string bytes(std::int64_t count) {
  constexpr std::int64_t mega = 1'000'000;
  return count < mega ? fmt::format("{} kB", count / 1000) : fmt::format("{} MB", count / mega);
}

// " 12 MB of 40 MB", as far as the engine reports it.
std::string amounts(const JsonReader& object) {
  const auto detail = object.maybe("progressDetail");
  const auto current = detail ? detail->maybe("current") : std::nullopt;
  const auto total = detail ? detail->maybe("total") : std::nullopt;
  std::string text;
  if (current) text = " " + bytes(current->integer(0, INT64_MAX));
  if (current && total)
    if (const auto all = total->integer(-1, INT64_MAX); all > 0) text += " of " + bytes(all);
  return text;
}

// Docker writes both members, Podman only the first.
std::string failure(const JsonReader& object) {
  if (auto words = object.string_or_empty("error"); !words.empty()) return words;
  const auto detail = object.maybe("errorDetail");
  return detail ? detail->string_or_empty("message") : std::string{};
}

}  // namespace

ImageName ImageName::parse(std::string_view reference) {
  auto end = reference.find('@');
  if (end == std::string_view::npos) {
    // A colon before the last slash belongs to the registry's port.
    const auto colon = reference.rfind(':');
    const auto slash = reference.rfind('/');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || slash < colon)) end = colon;
  }
  ImageName name{std::string(reference.substr(0, end)), "latest"};
  if (end != std::string_view::npos) name.tag = reference.substr(end + 1);
  if (name.repository.empty() || name.tag.empty())
    throw Error(Errc::invalid_argument, fmt::format("{} is not the name of an image", quote(reference)),
                "name it as in alpine:3.19");
  return name;
}

void PullReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const auto end = std::min(piece.find('\n'), piece.size());
    if (line_.size() + end > kLongestObject)
      throw Error(Errc::engine_error,
                  "the engine's report on a pull makes no sense: an object without an end");
    line_ += piece.substr(0, end);
    if (end == piece.size()) return;
    take_line();
    piece.remove_prefix(end + 1);
  }
}

void PullReader::finish() { take_line(); }

void PullReader::take_line() {
  const auto line = std::exchange(line_, {});
  if (trim(line).empty()) return;
  const auto tree = parse_json(line);
  const JsonReader object(tree);
  if (const auto words = failure(object); !words.empty())
    throw Error(Errc::engine_error,
                fmt::format("{} cannot be pulled: {}", quote(reference_), one_line(words, kLongestShown)));
  const auto id = object.string_or_empty("id");
  auto status = object.string_or_empty("status");
  const auto how_much = amounts(object);
  if (status.empty() || !progress_) return;
  if (!id.empty()) status = fmt::format("{}: {}", id, status);
  progress_(one_line(status + how_much, kLongestShown));
}

}  // namespace hostnet::engine
