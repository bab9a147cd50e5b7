// One GET over TCP, for its status: how a container's own web service is asked whether it is ready.
#pragma once

#include "core/deadline.hpp"

#include <string>

namespace hostnet::engine {

/// The status of the answer; 0 when there was none by the deadline, for whatever reason. No redirect is
/// followed.
/// @throws Error{engine_unavailable} without libcurl.
long http_status(const std::string& url, Deadline deadline);

}  // namespace hostnet::engine
