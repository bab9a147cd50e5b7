// The endpoint through which a container reaches its host.
#pragma once

#include "core/ipv4.hpp"
#include "engine/client.hpp"

#include <optional>
#include <string_view>

namespace hostnet::exposer {

/// The endpoint whose gateway is the container's default route (`default_gateway`, nullopt if it has none),
/// else the first with an address. nullptr if none has one.
const engine::Endpoint* primary_endpoint(const engine::Container& container,
                                         std::optional<Ipv4> default_gateway);

/// primary_endpoint() of a running container: by the default route of its process if its engine is `local`
/// (Client::why_remote()), else the first. @throws Error{not_found} if it has no IPv4 address.
const engine::Endpoint& endpoint_of(const engine::Container& container, bool local);

/// The gateway of the default route in the text of /proc/PID/net/route (proc(5)); nullopt when there is none.
std::optional<Ipv4> default_gateway(std::string_view proc_net_route);

}  // namespace hostnet::exposer
