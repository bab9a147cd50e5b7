// Compares versions of the form MAJOR.MINOR.
#include "engine/api_version.hpp"

#include "core/strings.hpp"
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

std::string api_version(std::string_view engines, std::string_view wanted) {
  const auto newest = numbers_of(engines);
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
    return std::string(wanted);
  }
  return std::string(newest && *newest > numbers_of(kNewestReviewed) ? kNewestReviewed : engines);
}

}  // namespace hostnet::engine
