// The table of paths.
#pragma once

#include "path/path.hpp"

#include <string_view>

namespace hostnet::exposer {

/// All of them, in order of preference.
PathTable paths() noexcept;

/// The row with that name; nullptr when there is none.
const PathDriver* find_path(PathTable table, std::string_view name) noexcept;

/// The row of one of paths() by its public value; nullptr for Path::automatic, which is none.
const PathDriver* driver_of(Path path) noexcept;

/// Whether it could serve such a target at all.
bool may_serve(const PathDriver& driver, const Target& target) noexcept;

}  // namespace hostnet::exposer
