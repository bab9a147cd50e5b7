// The relay path: sockets in the container's own network namespace, joined with services of this host by this
// process.
#pragma once

#include "path/path.hpp"

namespace hostnet::exposer {

extern const PathDriver kRelayPath;

}  // namespace hostnet::exposer
