// The table of paths.
#pragma once

#include "path/path.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// All paths, in order of preference.
PathTable paths() noexcept;

/// The paths that a user asks for, in the order to try them; empty: automatic, all in order of preference.
using PathOrder = std::vector<const PathDriver*>;

/// Reads "auto", or names of paths with commas between: "relay,ssh". @throws Error{invalid_argument}
PathOrder parse_order(std::string_view text);

/// The reverse.
std::string order_text(const PathOrder& order);

/// `options.paths`, else `options.path`. @throws Error{invalid_argument} for a list with `automatic` or with a
/// path twice.
PathOrder order_of(const ExposerOptions& options);

/// The path with that name, or nullptr.
const PathDriver* find_path(PathTable table, std::string_view name) noexcept;

/// The path with that public value; nullptr for Path::automatic.
const PathDriver* driver_of(Path path) noexcept;

/// As PathDriver::port_fault, for the automatic choice, which refuses what any path that may serve such a target refuses:
/// which one serves differs from machine to machine, and a request must not mean another thing there. Datagrams have no
/// fault: no path that carries them has one.
std::string_view port_fault_of(PathTable table, const HostPort& port, const Target& target);

/// Whether the path can serve such a target at all.
bool may_serve(const PathDriver& driver, const Target& target) noexcept;

}  // namespace hostnet::exposer
