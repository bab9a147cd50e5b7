// Requests as command lines, for hints: what a user types to get what the message speaks of.
#pragma once

#include "hostnet/port.hpp"
#include "hostnet/target.hpp"

#include <string>
#include <vector>

namespace hostnet::exposer {

/// "8080", "127.0.0.53:53:5353/udp", "'[::1]:5173'": one word of a shell.
std::string port_word(const HostPort& port);

/// "tc-hostnet expose 8080 5432:15432 --network web"
std::string expose_command(const std::vector<HostPort>& ports, const Target& target);

}  // namespace hostnet::exposer
