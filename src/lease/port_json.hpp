// A lease's ports as every listing of them has them in JSON.
#pragma once

#include "core/json.hpp"
#include "hostnet/port.hpp"

#include <vector>

namespace hostnet {

/// Objects with host, container, protocol and, for a Unix socket, socket.
json::Value to_json(const std::vector<HostPort>& ports);

}  // namespace hostnet
