// Percent-encoding (RFC 3986, section 2).
#include "engine/url.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::engine {
namespace {

std::string encode(std::string_view text, std::string_view unreserved) {
  std::string out;
  for (const char c : text) {
    if (unreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

constexpr std::string_view kUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~.";
constexpr std::string_view kWithoutDot = kUnreserved.substr(0, kUnreserved.size() - 1);

}  // namespace

std::string percent_encoded(std::string_view text, std::string_view also) {
  return encode(text, std::string(kUnreserved).append(also));
}

std::string path_segment(std::string_view name) {
  if (name.empty()) throw Error(Errc::invalid_argument, "the name of a container, network or image is empty");
  // A segment "." or ".." has a meaning of its own, although dots need no encoding. Encoded dots have none.
  const bool dots = name.find_first_not_of('.') == std::string_view::npos;
  return encode(name, dots ? kWithoutDot : kUnreserved);
}

std::optional<std::string> percent_decoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEFabcdef";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto digit = [&](std::size_t at) {
      const auto found = at < text.size() ? digits.find(text[at]) : std::string_view::npos;
      return found != std::string_view::npos && found > 15 ? found - 6 : found;
    };
    const auto high = digit(i + 1);
    const auto low = digit(i + 2);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

bool looks_like_id(std::string_view text) {
  constexpr std::size_t length = 64;
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string query_value(std::string_view text) { return encode(text, kUnreserved); }

}  // namespace hostnet::engine
