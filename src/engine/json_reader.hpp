// Reading of an engine's JSON.
#pragma once

#include "core/json_reader.hpp"

#include <string_view>

namespace hostnet::engine {

/// Its complaints are Error{engine_error}: "the engine's answer makes no sense: a.b is missing".
using JsonReader = json::Reader;

/// A JSON text of an engine, or of its configuration, as a tree. @throws Error: engine_error for what is not
/// JSON, is nested too deeply or has too many values; timed_out at the deadline.
json::Document parse_json(std::string_view text, Deadline deadline = Deadline::never());

}  // namespace hostnet::engine
