// Which port of the host leads to a port of a container, as an engine described it. Pure functions.
#pragma once

#include "engine/client.hpp"
#include "hostnet/wait_for.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hostnet::container {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// Never 0. @throws Error{port_not_exposed} when the port is not published at all, or on no address of that
/// family.
std::uint16_t host_port(const engine::Container& container, ContainerPort port, Family family);

/// Where an engine's published ports are: TESTCONTAINERS_HOST_OVERRIDE, else the host of an engine elsewhere,
/// else "localhost".
std::string host_of(const engine::Address& engine);

/// What to ask for a path on a port that is published for IPv4 at host_of().
std::string http_url(const engine::Address& engine, std::uint16_t port, std::string_view path);

}  // namespace hostnet::container
