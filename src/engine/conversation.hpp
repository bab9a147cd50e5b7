// A request whose connection goes on as a stream in both directions: exec with a standard input. libcurl
// keeps the connection after an upgrade to itself, so this one goes by a Wire.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "engine/transport.hpp"

#include <string>
#include <string_view>

namespace hostnet::engine {

/// POSTs `json` with a request for an upgrade, then sends `input` and ends it, and hands over whatever comes
/// back until the engine ends that. The path is as Transport's.
/// @throws Error as Transport's calls do, no_path over TLS; also what the sink throws.
void converse(const Address& address, const std::string& path, std::string_view json, std::string_view input,
              Deadline deadline, const BodySink& sink);

}  // namespace hostnet::engine
