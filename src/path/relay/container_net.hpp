// A container's network namespace, and sockets made in it.
//
// Theory of operation
//
// Which process. The engine reports a pid. For an engine on another machine that number is another process's
// here, so engine::alias_record() asks for evidence that it is the container's, and its start time tells it
// from a later process with that pid. The pidfd then holds it: its end is the container's.
//
// Which namespace. That of the first process, whatever the network mode: bridge, none, macvlan, slirp4netns,
// another container's. A namespace with our own network is refused.
//
// Who may enter. setns(2) wants CAP_SYS_ADMIN in the user namespace that owns the network namespace, and in
// the caller's own. Root has both. The owner of a rootless engine gets both by entering that user namespace
// first, which a thread of a process with threads may not: hence a forked child.
//
//   child    step                                           an error means
//   setns    the owning user namespace, unless it is ours   the container belongs to another user
//   setns    the network namespace                          likewise
//   bind     127.0.0.77 (kInside), port by port             the container uses the port
//   listen   and shutdown(2) again, for TCP                 likewise: a socket there listens
//   send     the socket by SCM_RIGHTS, or the error
//
// The child does nothing but these calls and allocates nothing. It is no process of the container's pid
// namespace, and not dumpable, so that root in a user namespace that it has entered cannot read its memory.
//
// The address. Nothing else uses 127.0.0.77, so a port there collides only with a socket on that port at
// every address. A bind without SO_REUSEADDR comes first: with it, two sockets that do not listen could share
// the port. Where connections of an earlier lease are still closing, only one with it succeeds.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "path/relay/bound_socket.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::relay {

/// Where a lease listens in a container.
inline constexpr Ipv4 kInside{127U << 24 | 77};

struct ContainerNet {
  std::string container;  ///< Its name.
  pid_t pid = 0;
  Fd process;  ///< A pidfd: readable once the container's first process has ended.
  Fd netns;    ///< Empty if this process may not have it: then only the engine leads there (handoff.hpp).
  Fd userns;   ///< The owner of netns; empty if it is ours.
};

/// Opens what bind_inside() needs; enters nothing. The container runs. @throws Error: no_path if the process
/// is not known to be on this machine, or the network is this process's own; not_found if it has ended.
ContainerNet open_container_net(const engine::Container& container);

/// Sockets for Relay::add(), one a door, in order. @throws Error: conflict that names the port if it is in
/// use there, no_path if this process may not enter, timed_out, failure.
std::vector<Fd> bind_inside(const ContainerNet& net, Ipv4 address, const std::vector<Door>& doors,
                            Deadline deadline);

/// The errors of a socket that was not made there, and of a container without a network of its own.
Error cannot_listen(const std::string& container, Answer answer, Ipv4 address, std::uint16_t port);
Error uses_our_network(const std::string& container);

/// The ports with a listening socket in the text of /proc/PID/net/tcp or tcp6 (proc(5)), or with one that takes datagrams
/// of anybody in that of udp or udp6. Pure.
std::vector<std::uint16_t> listening_ports(std::string_view proc_net, Protocol protocol = Protocol::tcp);

/// Those of the container, sorted; empty if /proc does not show them.
std::vector<std::uint16_t> listening_ports(const ContainerNet& net, Protocol protocol);

}  // namespace hostnet::relay
