// An engine's refusals in the project's errors: which code, whose words, and what to do about it.
#pragma once

#include "engine/curl.hpp"
#include "engine/transport.hpp"

namespace hostnet::engine {

/// Why the socket or host could not be connected to; `cause` is errno, or 0 where libcurl knows none.
Error connect_error(const Address& address, int cause);

/// Why libcurl came to no answer. `detail` is what it wrote into its error buffer, `cause` is errno or 0.
Error transfer_error(const Address& address, const std::string& call, CURLcode code, std::string_view detail,
                     int cause);

/// Throws where a plain request went to a port that wants TLS, which answers it by a complaint in plain text.
/// @throws Error{engine_unavailable}
void check_speaks_plainly(const Address& address, const Response& answer);

/// 304 is how start and stop say that there is nothing to do; no request here asks for it otherwise.
bool is_success(long status);

/// Throws what an answer that came whole says with a status that is no success.
/// @throws Error: not_found, conflict, engine_error; the last with a hint where a person can mend the engine.
void check_status(const Response& answer);

}  // namespace hostnet::engine
