// Text and byte-order conversions of IPv4 addresses.
#include "core/ipv4.hpp"

#include "core/strings.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

namespace hostnet {

std::optional<Ipv4> Ipv4::parse(std::string_view text) {
  std::uint32_t value = 0;
  for (int part = 0; part < 4; ++part) {
    const auto dot = part < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const auto digits = text.substr(0, dot);
    if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
    const auto number = parse_number(digits, 255);
    if (!number) return std::nullopt;
    value = value << 8 | static_cast<std::uint32_t>(*number);
    text.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return Ipv4{value};
}

Ipv4 Ipv4::from_network(std::uint32_t network) { return {ntohl(network)}; }

std::uint32_t Ipv4::network() const { return htonl(host); }

std::string Ipv4::to_string() const {
  return fmt::format("{}.{}.{}.{}", host >> 24, host >> 16 & 255, host >> 8 & 255, host & 255);
}

std::string Endpoint::to_string() const { return fmt::format("{}:{}", address.to_string(), port); }

}  // namespace hostnet
