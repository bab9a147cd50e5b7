// Base64, RFC 4648: for logins to registries, which their files and the engine's API want so.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

/// With the alphabet for URLs ("-" and "_", section 5) and padding.
std::string to_base64url(std::string_view bytes);

/// Reads the usual alphabet (section 4) with or without padding; nullopt for anything else.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace hostnet
