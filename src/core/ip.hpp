// An IPv4 or IPv6 address as one value, where either family may occur: who dials a sidecar, and where.
#pragma once

#include "core/ipv4.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

/// Holds 16 bytes; an IPv4 address is held as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that one list
/// holds and sorts both families.
struct Ip {
  std::array<std::uint8_t, 16> bytes{};

  Ip() = default;
  Ip(Ipv4 address);  // NOLINT(google-explicit-constructor): every IPv4 address is one
  /// nullopt for anything that inet_pton(3) does not take, such as a zone ("%eth0"), and for the text
  /// "::ffff:a.b.c.d": no host has that address.
  static std::optional<Ip> parse(std::string_view text);

  /// The IPv4 address; nullopt for IPv6.
  [[nodiscard]] std::optional<Ipv4> ipv4() const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Ip&) const = default;
};

/// An address of either family and a port.
struct IpEndpoint {
  Ip address;
  std::uint16_t port = 0;

  IpEndpoint() = default;
  IpEndpoint(Ip of, std::uint16_t at) : address(of), port(at) {}
  IpEndpoint(Endpoint ipv4)  // NOLINT(google-explicit-constructor): as for Ip
      : address(ipv4.address), port(ipv4.port) {}

  /// "127.0.0.1:80", "[::1]:80".
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const IpEndpoint&) const = default;
};

/// The addresses of one prefix: "172.17.0.0/16", "fd00::/64".
struct Subnet {
  Ip address;
  unsigned prefix = 128;  ///< Of the 128 bits of `address`, also for IPv4.

  /// nullopt for anything else.
  static std::optional<Subnet> parse(std::string_view text);
  [[nodiscard]] bool contains(const Ip& one) const;

  bool operator==(const Subnet&) const = default;
};

}  // namespace hostnet
