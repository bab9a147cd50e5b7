// Random unique names.
#pragma once

#include <cstddef>
#include <string>

namespace hostnet {

/// `digits` hexadecimal digits (even, at most 64) from the kernel's random source (getrandom(2)). @throws
/// Error.
std::string random_hex(std::size_t digits);

}  // namespace hostnet
