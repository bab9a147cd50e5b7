// A lease's ports in JSON, the same in every listing.
#pragma once

#include "core/json.hpp"
#include "hostnet/port.hpp"

#include <vector>

namespace hostnet {

/// Objects with host, container, protocol and, for a Unix socket, socket.
json::Value to_json(const std::vector<HostPort>& ports);

}  // namespace hostnet
