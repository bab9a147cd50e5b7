// A tunnel in words.
#pragma once

#include "lease/tunnel_record.hpp"
#include "path/path.hpp"

namespace hostnet::exposer {

/// As PathDriver::describe: the sidecar, and the tunnel as its owner last said it to be.
RecordView describe_tunnel(const state::TunnelRecord& record);

}  // namespace hostnet::exposer
