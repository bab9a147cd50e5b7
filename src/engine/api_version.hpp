// Which version of the Engine API the calls use.
#pragma once

#include "core/deadline.hpp"

#include <string>
#include <string_view>

namespace hostnet::engine {

/// The newest version whose changes were reviewed for the calls and fields that are used here.
inline constexpr std::string_view kNewestReviewed = "1.54";

/// The version for an engine whose newest one is `engines`: that, but at most kNewestReviewed, or `least` if
/// that is more; or `wanted`, the value of $DOCKER_API_VERSION, as docker itself has it (empty: none).
/// `least` is the engine's oldest one (empty: not known). Empty if the engine names none: then paths go
/// without one. Pure. @throws Error{invalid_argument} when `wanted` is no version, or one that the engine
/// does not have.
std::string api_version(std::string_view engines, std::string_view wanted, std::string_view least = {});

/// The engine's oldest version, from GET /version; empty if it names none. @throws Error{engine_error}.
std::string least_api_version(std::string_view json, Deadline deadline = Deadline::never());

}  // namespace hostnet::engine
