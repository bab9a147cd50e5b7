// The table of paths.
#pragma once

#include "path/path.hpp"

#include <string_view>

namespace hostnet::exposer {

/// All paths, in order of preference.
PathTable paths() noexcept;

/// The path with that name, or nullptr.
const PathDriver* find_path(PathTable table, std::string_view name) noexcept;

/// The path with that public value; nullptr for Path::automatic.
const PathDriver* driver_of(Path path) noexcept;

/// Whether the path can serve such a target at all.
bool may_serve(const PathDriver& driver, const Target& target) noexcept;

}  // namespace hostnet::exposer
