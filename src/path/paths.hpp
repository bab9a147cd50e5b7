// The table of paths.
#pragma once

#include "path/path.hpp"

#include <optional>
#include <span>
#include <string_view>

namespace hostnet::exposer {

/// All of them, in order of preference.
std::span<const PathDriver* const> paths() noexcept;

/// The row of one of them; nullptr for Path::automatic, which is none.
const PathDriver* driver_of(Path path) noexcept;

/// Whether its leases stand on a sidecar. False for Path::automatic.
bool goes_by_sidecar(Path path) noexcept;

/// Whether it could serve such a target at all.
bool may_serve(const PathDriver& driver, const Target& target) noexcept;

}  // namespace hostnet::exposer
