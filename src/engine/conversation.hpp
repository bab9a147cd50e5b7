// A request that turns its connection into a stream in both directions: exec with standard input. libcurl
// does not give out the connection after an upgrade, so this uses a Wire.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/transport.hpp"

#include <string>
#include <string_view>

namespace hostnet::engine {

/// POSTs `json` and requests an upgrade, then sends `input` and ends it, and passes the engine's output to
/// the sink until the engine ends it. `path` as for Transport.
/// @throws Error as Transport's calls do, no_path over TLS; also what the sink throws.
void converse(const Address& address, const std::string& path, std::string_view json, std::string_view input,
              Deadline deadline, const BodySink& sink);

}  // namespace hostnet::engine
