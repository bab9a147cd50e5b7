// Socket helpers of the load generator. They share only header-only code with the library, so that the load
// generator neither waits for the library to compile nor depends on its speed.
#pragma once

#include "core/fd.hpp"

#include <netinet/in.h>
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace hostnet::bench {

/// Passes a system call's result on. @throws std::system_error with errno when it is negative.
ssize_t checked(ssize_t result, const char* what);

/// "198.18.0.1:7000". @throws std::invalid_argument for anything else.
sockaddr_in parse_endpoint(std::string_view text);

/// A non-blocking listener with a backlog that no burst of ours fills.
Fd listen_on(const sockaddr_in& address);

/// A connected blocking socket without Nagle; it fails after ten seconds of silence.
Fd connect_to(const sockaddr_in& address);

/// A non-blocking socket without Nagle, still connecting.
Fd start_connect(const sockaddr_in& address);

void disable_nagle(int fd);

void send_all(int fd, const void* data, std::size_t size);

/// @throws std::runtime_error when the peer closes first.
void receive_all(int fd, void* data, std::size_t size);

}  // namespace hostnet::bench
