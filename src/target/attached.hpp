// Whether a bridge of this network namespace is the one that an engine means.
//
// A name and a gateway prove nothing: docker0 with 172.17.0.1 exists on this machine and on the next, and an
// engine's socket may be the end of a tunnel or lead into a virtual machine. A port opened on the wrong
// bridge is open to containers that the request did not name. So one of these must hold before anything is
// changed or dialled:
//
//   target      proof
//   container   A port of the bridge is one end of a veth pair whose other end is in the network namespace
//               of the container's first process (RTM_GETNSID against IFLA_LINK_NETNSID; enters no namespace,
//               needs no privilege). Neither its address nor the container's id in the process's control
//               group, where visible, contradicts that.
//   network     The same for one of its running containers; or the process at the engine's socket runs in
//               this network namespace (engine/own_process.hpp), where its bridges then are. The latter
//               serves networks without containers.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "netlink/link.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::exposer {

enum class Attached {
  here,       ///< On this bridge, by a veth pair.
  elsewhere,  ///< The process is not on this bridge, or belongs to another container.
  unseen,     ///< The process does not exist or is ending.
};

/// Where a running container is, relative to the bridge with that ifindex. `address` is its expected address
/// there. @throws Error.
Attached attached(netlink::Rtnl& rtnl, const engine::Container& container, int bridge, Ipv4 address);

/// Why the bridge is not proved to be the network's, as a sentence; nullopt if it is.
/// @throws Error, and what the client throws.
std::optional<std::string> why_not_its_bridge(engine::Client& client, netlink::Rtnl& rtnl,
                                              const engine::Network& network, const netlink::Link& bridge,
                                              Deadline deadline);

/// Whether the text of /proc/PID/cgroup names containers, and this one is not among them. Ids in `own`, this
/// process's text, do not count: everything may run in one container. Pure.
bool names_another_container(std::string_view cgroups, std::string_view id, std::string_view own);

}  // namespace hostnet::exposer
