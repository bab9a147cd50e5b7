// IPv4 addresses and prefixes as values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

/// An IPv4 address. `host` is in host byte order so that comparison sorts numerically.
struct Ipv4 {
  std::uint32_t host = 0;

  /// Strict dotted quad, four decimal numbers without leading zeros; nullopt for anything else.
  static std::optional<Ipv4> parse(std::string_view text);
  /// From the kernel's in_addr_t (network byte order).
  static Ipv4 from_network(std::uint32_t network);

  [[nodiscard]] std::uint32_t network() const;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_loopback() const { return (host >> 24) == 127; }
  [[nodiscard]] bool is_any() const { return host == 0; }

  auto operator<=>(const Ipv4&) const = default;
};

/// The netmask of a prefix length (0–32), host byte order.
constexpr std::uint32_t netmask(unsigned prefix) {
  return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix);
}

/// Whether `address` lies in `net`/`prefix`.
constexpr bool contains(Ipv4 net, unsigned prefix, Ipv4 address) {
  return ((net.host ^ address.host) & netmask(prefix)) == 0;
}

/// An address and a port.
struct Endpoint {
  Ipv4 address;
  std::uint16_t port = 0;

  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace hostnet
