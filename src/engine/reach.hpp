// libcurl's options for reaching an engine: the Unix socket, or host, port and certificates.
#pragma once

#include "engine/address.hpp"
#include "engine/curl.hpp"

#include <string_view>

namespace hostnet::engine {

/// Sets URL (`path` is absolute, with its query), socket and TLS on a new or reset handle. libcurl copies the
/// strings. @throws Error{engine_unavailable} if this libcurl lacks a feature that the address needs.
void reach(const Curl& curl, CURL* handle, const Address& address, std::string_view path);

}  // namespace hostnet::engine
