// Paths by their names, for leases and for what is read from records. Which paths there are is known above
// (path/paths.cpp).
#pragma once

#include "hostnet/path.hpp"

#include <string_view>

namespace hostnet {

/// Whether this names a path whose leases have a record (tunnel_record.hpp).
bool keeps_records(std::string_view path) noexcept;

/// The public value of the path with this name; `automatic` where there is none.
Path path_named(std::string_view name) noexcept;

}  // namespace hostnet
