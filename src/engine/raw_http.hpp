// What a request over a plain socket needs, for answers that libcurl cannot carry: those that go on in both
// directions, and those that never end and have to be waited for beside other things.
#pragma once

#include "core/fd.hpp"
#include "engine/client.hpp"

#include <string_view>

namespace hostnet::engine {

/// No engine's headers are anywhere near as large.
inline constexpr std::size_t kLargestHead = 64U << 10;

/// A connection to the engine; waits for nothing. @throws Error: invalid_argument for a path that does not
/// fit, engine_unavailable, not_authorised.
Fd connect_to(const Address& address);

/// The status in the first line of an answer, "HTTP/1.1 101 UPGRADED"; 0 for what is no such line.
long status_of(std::string_view head);

}  // namespace hostnet::engine
