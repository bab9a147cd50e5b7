// The endpoints through which a container can reach its host, and their order. Which one serves depends on the
// path: each path tries them in this order and keeps its reason against those before the first that serves.
#pragma once

#include "core/ipv4.hpp"
#include "engine/client.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// The endpoints with an address, in the order in which a path tries their networks: first the one whose
/// gateway is the container's default route (`default_gateway`, nullopt if it has none), then by falling
/// priority (Endpoint::priority), then by the network's name. Pure.
std::vector<engine::Endpoint> in_order(const engine::Container& container,
                                       std::optional<Ipv4> default_gateway);

/// in_order() of a running container: with the default route of its process if its engine is `local`
/// (Client::why_remote()). Not empty. @throws Error{not_found} if it has no address.
std::vector<engine::Endpoint> endpoints_of(const engine::Container& container, bool local);

/// The first of endpoints_of() that has an IPv4 address. @throws Error{not_found} if none has one.
engine::Endpoint endpoint_of(const engine::Container& container, bool local);

/// Why no network of a container serves, for an error: "container app: network mv: …; network web: …".
struct Against {
  std::string network;
  std::string why;
};
std::string reasons_against(const engine::Container& container, std::span<const Against> reasons);

/// The gateway of the default route in the text of /proc/PID/net/route (proc(5)); nullopt when there is none.
std::optional<Ipv4> default_gateway(std::string_view proc_net_route);

}  // namespace hostnet::exposer
