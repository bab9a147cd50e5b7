// Finds the host port of a container port in the engine's description. Pure functions, except that host_of()
// reads the environment.
#pragma once

#include "engine/client.hpp"
#include "hostnet/wait_for.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hostnet::container {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// Never 0. @throws Error: port_not_exposed when the port is not published on an address of that family,
/// engine_error when the engine reports host port 0.
std::uint16_t host_port(const engine::Container& container, ContainerPort port, Family family);

/// The host of an engine's published ports: $TESTCONTAINERS_HOST_OVERRIDE, else the host of a remote engine,
/// else "localhost".
std::string host_of(const engine::Address& engine);

/// The URL of a path on a port that is published for IPv4 at host_of().
std::string http_url(const engine::Address& engine, std::uint16_t port, std::string_view path);

}  // namespace hostnet::container
