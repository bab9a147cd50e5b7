// Random hexadecimal digits.
#include "core/random.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace hostnet {

std::string random_hex(std::size_t digits) {
  std::array<std::uint8_t, 32> bytes{};
  // getrandom(2) returns up to 256 bytes whole; a signal does not cut them short.
  if (::getrandom(bytes.data(), digits / 2, 0) < 0) throw Error::from_errno("getrandom", errno);
  std::string out;
  for (std::size_t i = 0; i < digits / 2; ++i) fmt::format_to(std::back_inserter(out), "{:02x}", bytes[i]);
  return out;
}

}  // namespace hostnet
