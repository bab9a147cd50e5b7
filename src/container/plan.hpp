// From a request to what the engine is asked for, and all that is wrong with a request. Pure functions.
#pragma once

#include "engine/containers.hpp"
#include "hostnet/image.hpp"
#include "path/path.hpp"

#include <map>
#include <optional>
#include <string>

namespace hostnet::container {

/// What a request does not tell itself.
struct Surroundings {
  std::string network;                        ///< As the engine calls it; empty: its default one.
  std::string alias_address;                  ///< Where kAlias shall lead; empty: no entry for it.
  std::string mac;                            ///< Empty: any.
  std::map<std::string, std::string> labels;  ///< The library's own.
};

/// Refuses what cannot be, before anything is made; `path` is the one that will be tried first, nullptr
/// where none is known, and counts only where host ports are exposed.
/// @throws Error, the first of these that is so: invalid_argument for a host port 0 ("greater than zero"),
/// conflict for two host ports behind one, invalid_argument for 22 by ssh ("SSH port is reserved"), conflict
/// for a with_host() of the alias ("host port exposure … already defined"), invalid_argument for the network
/// modes host, container:<id> and none and for a reused container; then whatever else is wrong with it.
void check(const ContainerRequest& request, const exposer::PathDriver* path);

/// The container. @throws Error{invalid_argument} as engine::create_request().
engine::ContainerSpec spec_of(const ContainerRequest& request, const Surroundings& surroundings);

/// The network as the engine calls it: "bridge" and "default" are its default one, which Podman names
/// "podman". Empty where the request names none, unless one must be named.
std::string network_name(const std::string& wanted, bool is_podman, bool must_be_named);

/// Whether it is a network to be made where there is none: neither a mode nor the default one.
bool is_user_network(const std::string& name, bool is_podman);

}  // namespace hostnet::container
