// Whether a bridge of this network namespace is the one that an engine means.
//
// A name and a gateway show nothing: docker0 with 172.17.0.1 is on this machine and on the next, and the
// socket of an engine may be the end of a tunnel or lead into a virtual machine. What is opened on the
// namesake is opened to containers that were never named. So before anything is changed or dialled one of
// these holds:
//
//  - for a container: a port of the bridge is one end of a veth pair, and the other end is in the network
//    namespace of the container's first process (RTM_GETNSID against IFLA_LINK_NETNSID, for which nobody's
//    namespace is entered and no privilege is needed), and what else can be seen of it does not contradict:
//    its address, and the container's id in the process's control group;
//  - for a network: that, of one of its running containers; or what answers at the engine's socket is an
//    engine's process in this network namespace (engine/own_process.hpp), where its bridges are, too. The
//    latter serves networks on which nothing runs yet.
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
  here,       ///< By a veth pair to this bridge.
  elsewhere,  ///< Its process is one that is not on this bridge, or is another container's.
  unseen,     ///< There is no such process, or it is ending.
};

/// Where a running container is, with regard to the bridge with that ifindex. `address` is what it shall have
/// there. @throws Error.
Attached attached(netlink::Rtnl& rtnl, const engine::Container& container, int bridge, Ipv4 address);

/// Why the bridge is not shown to be the network's, as a sentence; nullopt where it is.
/// @throws Error, and what the client throws.
std::optional<std::string> why_not_its_bridge(engine::Client& client, netlink::Rtnl& rtnl,
                                              const engine::Network& network, const netlink::Link& bridge,
                                              Deadline deadline);

/// Whether the text of /proc/PID/cgroup names containers, and this one is not among them. Those in `own`, our
/// own process's text, do not count: all may be inside of one. Pure.
bool names_another_container(std::string_view cgroups, std::string_view id, std::string_view own);

}  // namespace hostnet::exposer
