// Ethernet addresses as values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

/// An IEEE 802 MAC address.
struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  /// "02:00:5e:10:00:ff", either case; nullopt for anything else.
  static std::optional<Mac> parse(std::string_view text);
  /// A random unicast address with the "locally administered" bit set: 46 bits from the kernel's random
  /// source. @throws Error.
  static Mac random();

  /// Whether it is a multicast or broadcast address, which is never a source address.
  [[nodiscard]] bool is_group() const noexcept { return (bytes[0] & 1U) != 0; }

  /// In lower case.
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Mac&) const = default;
};

}  // namespace hostnet
