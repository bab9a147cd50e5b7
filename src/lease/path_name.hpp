// Looks up paths by name, for leases and records. The table of paths is in path/paths.cpp, a layer above.
#pragma once

#include "hostnet/path.hpp"

#include <string_view>

namespace hostnet {

/// Whether leases of the path with this name have a record (tunnel_record.hpp).
bool keeps_records(std::string_view path) noexcept;

/// The public value of the path with this name; `automatic` if there is none.
Path path_named(std::string_view name) noexcept;

}  // namespace hostnet
