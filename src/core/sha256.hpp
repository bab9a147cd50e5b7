// The digest by which engines name what they store. A dependency on a cryptographic library for one image a
// process would cost every start of the command.
#pragma once

#include <string>
#include <string_view>

namespace hostnet {

/// SHA-256 (FIPS 180-4), 64 hexadecimal digits. Pure.
std::string sha256_hex(std::string_view data);

}  // namespace hostnet
