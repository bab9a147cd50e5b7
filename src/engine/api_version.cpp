// Compares versions of the form MAJOR.MINOR.
#include "engine/api_version.hpp"

#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

namespace hostnet::engine {
namespace {

using Numbers = std::pair<unsigned, unsigned>;

std::optional<Numbers> numbers_of(std::string_view text) {
  Numbers out;
  const char* const end = text.data() + text.size();
  const auto [dot, first] = std::from_chars(text.data(), end, out.first);
  if (first != std::errc{} || dot == end || *dot != '.') return std::nullopt;
  const auto [rest, second] = std::from_chars(dot + 1, end, out.second);
  if (second != std::errc{} || rest != end) return std::nullopt;
  return out;
}

}  // namespace

std::string api_version(std::string_view engines, std::string_view wanted, std::string_view least) {
  const auto newest = numbers_of(engines);
  const auto oldest = numbers_of(least);
  if (!wanted.empty()) {
    const auto numbers = numbers_of(wanted);
    if (!numbers)
      throw Error(Errc::invalid_argument,
                  fmt::format("DOCKER_API_VERSION is {}, which is no version", quote(wanted)),
                  "give one as 1.41, or unset it");
    if (newest && *numbers > *newest)
      throw Error(Errc::invalid_argument,
                  fmt::format("DOCKER_API_VERSION is {}, but the engine has {} at most", wanted, engines),
                  "unset it");
    if (oldest && *numbers < *oldest)
      throw Error(Errc::invalid_argument,
                  fmt::format("DOCKER_API_VERSION is {}, but the engine has {} at least", wanted, least),
                  "unset it");
    return std::string(wanted);
  }
  const auto reviewed = numbers_of(kNewestReviewed);
  if (!newest || *newest <= *reviewed) return std::string(engines);
  return std::string(oldest && *oldest > *reviewed ? least : kNewestReviewed);
}

std::string least_api_version(std::string_view json, Deadline deadline) {
  const auto tree = parse_json(json, deadline);
  return JsonReader(tree).string_or_empty("MinAPIVersion");
}

}  // namespace hostnet::engine
