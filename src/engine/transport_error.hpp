// Turns failed requests and an engine's refusals into the project's errors, with a hint.
#pragma once

#include "engine/curl.hpp"
#include "engine/transport.hpp"

namespace hostnet::engine {

/// The error of a failed connection; `cause` is errno, or 0 if libcurl reports none.
Error connect_error(const Address& address, int cause);

/// The error of a failed transfer. `detail` is libcurl's error buffer, `cause` is errno or 0.
Error transfer_error(const Address& address, const std::string& call, CURLcode code, std::string_view detail,
                     int cause);

/// The error of an engine behind a login that gives no answer at all.
class HungUp : public Error {
 public:
  explicit HungUp(const Address& address);
};

/// The error of an answer without its end.
Error broken_off(const std::string& call);

/// Throws if a plain request went to a TLS port, which answers with a complaint in plain text.
/// @throws Error{engine_unavailable}
void check_speaks_plainly(const Address& address, const Response& answer);

/// True for 2xx and 304: start and stop answer 304 when there is nothing to do, and no other request gets it.
bool is_success(long status);

/// Throws the engine's refusal for a complete answer whose status is no success.
/// @throws Error: not_found, conflict, engine_error; the last with a hint if a person can repair the engine.
void check_status(const Response& answer);

}  // namespace hostnet::engine
