// Reads an engine's JSON.
#pragma once

#include "core/json_reader.hpp"

#include <string_view>

namespace hostnet::engine {

/// How the errors of this parser begin.
inline constexpr std::string_view kNoSense = "the engine's answer makes no sense: ";

/// Throws Error{engine_error}: "the engine's answer makes no sense: a.b is missing".
using JsonReader = json::Reader;

/// Parses JSON from an engine or its configuration. @throws Error: engine_error for text that is not JSON, is
/// nested too deeply or has too many values; timed_out at the deadline.
json::Document parse_json(std::string_view text, Deadline deadline = Deadline::never());

}  // namespace hostnet::engine
