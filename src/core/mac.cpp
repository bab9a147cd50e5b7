// Parses, prints and generates Ethernet addresses.
#include "core/mac.hpp"

#include "core/random.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

#include <charconv>

namespace hostnet {

std::optional<Mac> Mac::parse(std::string_view text) {
  const auto parts = split(text, ':');
  Mac mac;
  if (parts.size() != mac.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto* const end = parts[i].data() + parts[i].size();
    if (parts[i].size() != 2) return std::nullopt;
    const auto [at, error] = std::from_chars(parts[i].data(), end, mac.bytes[i], 16);
    if (error != std::errc{} || at != end) return std::nullopt;
  }
  return mac;
}

Mac Mac::random() {
  const auto digits = random_hex(12);
  Mac mac;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i)
    std::from_chars(digits.data() + 2 * i, digits.data() + 2 * i + 2, mac.bytes[i], 16);
  constexpr std::uint8_t group = 0x01;
  constexpr std::uint8_t local = 0x02;
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & ~group) | local);
  return mac;
}

std::string Mac::to_string() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3],
                     bytes[4], bytes[5]);
}

}  // namespace hostnet
