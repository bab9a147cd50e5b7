// An engine's part in a Docker swarm: which names it can know.
//
// A manager knows all networks of the swarm. A worker knows only those that a container of its own is on, and
// no node knows another node's containers.
#pragma once

#include "core/deadline.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

struct SwarmNode {
  bool is_member = false;
  bool is_manager = false;
  std::string address = {};                ///< Its own, as other nodes have it.
  bool is_alone = false;                   ///< Known to a manager only.
  std::vector<std::string> managers = {};  ///< Addresses, with their port: "198.51.100.2:2377", "[::1]:2377".
};

/// A container's end of an overlay network, on any node.
struct OverlayEnd {
  std::string container;  ///< Its name; a task's, for those of services.
  std::string node;       ///< The address of its node.

  bool operator==(const OverlayEnd&) const = default;
};

/// From GET /networks/ID?verbose=true, which no other network has. @throws Error{engine_error}.
std::vector<OverlayEnd> parse_overlay_ends(std::string_view json, Deadline deadline = Deadline::never());

/// From GET /info. Podman's answers, and a node that has left or is locked, are no member. @throws
/// Error{engine_error}.
SwarmNode parse_swarm_node(std::string_view json, Deadline deadline = Deadline::never());

/// The host of a manager's address, as an address with a scheme has it: "198.51.100.2", "[::1]". Empty if it has
/// characters that no host has: it gets into a command line that people copy.
std::string_view host_of_manager(std::string_view address);

}  // namespace hostnet::engine
