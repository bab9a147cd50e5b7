// Validates a request and turns it into the engine's container description. Pure functions.
#pragma once

#include "container/request.hpp"
#include "engine/containers.hpp"
#include "hostnet/image.hpp"
#include "path/path.hpp"

#include <map>
#include <optional>
#include <string>

namespace hostnet::container {

/// What the request itself does not contain.
struct Surroundings {
  std::string network;                        ///< The engine's name for it; empty: its default network.
  std::string alias_address;                  ///< Address of kAlias; empty: no entry for it.
  std::string mac;                            ///< Empty: any.
  std::map<std::string, std::string> labels;  ///< The library's own.
};

/// Rejects an invalid request before anything is created. @throws Error, the first that applies, in this order:
///
///   invalid_argument  host port 0 ("greater than zero")
///   conflict          two host ports for one container port
///   invalid_argument  container port 22 ("SSH port is reserved"), unless another path than ssh is asked for
///   conflict          with_host() of the alias ("host port exposure … already defined")
///   invalid_argument  network modes host, container:<id>, none (unless a path for it is asked for); then a
///                     reused container
///   any               every other fault of the request
void check(const ContainerRequest& request);

/// The container's description for the engine.
engine::ContainerSpec spec_of(const ContainerRequest& request, const Surroundings& surroundings);

/// The engine's name for the network: "bridge" and "default" mean its default network, which Podman calls
/// "podman". Empty if the request names none and `must_be_named` is false.
std::string network_name(const std::string& wanted, bool is_podman, bool must_be_named);

/// Whether only a path that goes into the container itself can serve it there.
bool is_without_network(std::string_view network);

/// Whether NetworkUse may create it: it is neither a network mode nor the default network.
bool is_user_network(const std::string& name, bool is_podman);

}  // namespace hostnet::container
