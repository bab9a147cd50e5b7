// One HTTP GET over TCP for its status, to ask a container's web service whether it is ready.
#pragma once

#include "core/deadline.hpp"

#include <string>

namespace hostnet::engine {

/// The status of the answer; 0 for no answer by the deadline, whatever the reason. Follows no redirect.
/// @throws Error{engine_unavailable} without libcurl.
long http_status(const std::string& url, Deadline deadline);

}  // namespace hostnet::engine
