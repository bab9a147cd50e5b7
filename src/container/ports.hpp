// Which port of the host leads to a port of a container, as an engine described it. Pure functions.
#pragma once

#include "engine/client.hpp"
#include "hostnet/wait_for.hpp"

#include <cstdint>

namespace hostnet::container {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// Never 0. @throws Error{port_not_exposed} when the port is not published at all, or on no address of that
/// family.
std::uint16_t host_port(const engine::Container& container, ContainerPort port, Family family);

}  // namespace hostnet::container
