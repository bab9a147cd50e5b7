// A path by its name, for what is read from files and labels. Which paths there are is known above
// (path/paths.cpp).
#pragma once

#include "hostnet/path.hpp"

#include <optional>
#include <string_view>

namespace hostnet {

/// What to_string() gives for one of them, "auto" too; nullopt for any other text.
std::optional<Path> parse_path(std::string_view text) noexcept;

}  // namespace hostnet
