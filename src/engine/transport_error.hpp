// An engine's refusals in the project's errors: which code, whose words, and what to do about it.
#pragma once

#include "engine/transport.hpp"

namespace hostnet::engine {

/// Why the socket could not be connected to; `cause` is errno, or 0 where libcurl knows none.
Error connect_error(const Address& address, int cause);

/// 304 is how start and stop say that there is nothing to do; no request here asks for it otherwise.
bool is_success(long status);

/// Throws what an answer that came whole says with a status that is no success.
/// @throws Error: not_found, conflict, engine_error.
void check_status(const Response& answer);

}  // namespace hostnet::engine
