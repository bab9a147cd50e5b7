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
//   map      rules that leave the ports to the container    the ports are bound themselves (port_map.hpp)
//   bind     127.0.0.77 (kInside), port by port             the container uses the port
//   listen   and shutdown(2) again, for TCP                 likewise: a socket there listens
//   send     the socket by SCM_RIGHTS, or the error
//
// The child does nothing but these calls and allocates nothing. It is no process of the container's pid
// namespace, and not dumpable, so that root in a user namespace that it has entered cannot read its memory.
//
// The address. Nothing else uses 127.0.0.77, so a port there collides only with a socket on that port at
// every address. With a port map it is another port than the lease's, which the container may then use at
// every other address. A bind without SO_REUSEADDR comes first: with it, two sockets that do not listen could
// share the port. Where connections of an earlier lease are still closing, only one with it succeeds.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "path/relay/bound_socket.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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

/// A socket to be made in a network namespace.
struct Wish {
  Door door = 0;
  in_addr_t address = 0;       ///< In network byte order.
  char device[IFNAMSIZ] = {};  ///< As make_bound_socket()'s; empty: none.
  bool routes = false;         ///< One of NETLINK_ROUTE instead.
  /// The netlink socket of a port map instead, for a lease of this id; the doors that follow go behind it.
  const char* map = nullptr;
};

/// Makes them in a child that enters both namespaces (`userns` may be empty), in order, up to the first that
/// fails, which a port map may do: without an error in the answer there is a socket. `whose` is for messages.
/// @throws Error: timed_out, failure.
std::vector<std::pair<Answer, Fd>> make_inside(const Fd& netns, const Fd& userns, const std::string& whose,
                                               const std::vector<Wish>& wishes, Deadline deadline);

/// Whether the process of a pidfd has ended.
bool has_ended(const Fd& process) noexcept;
/// Whether an open network namespace is this process's. @throws Error.
bool is_our_netns(const Fd& netns);
/// Tells network namespaces apart while both exist: the inode of an open one, or of this process's. @throws Error.
std::uint64_t inode_of(const Fd& netns);
std::uint64_t own_netns_inode();
/// The user namespace that owns a network namespace; empty if it is this process's. @throws Error{no_path}.
Fd owner_of(const Fd& netns, const std::string& container);

/// The port in the container, or at the gateway.
Door door_of(const HostPort& port) noexcept;

/// Sockets in a container's network.
struct OpenDoors {
  std::vector<Fd> sockets;  ///< For Relay::add(), one a door, in order.
  Fd map;                   ///< Of the port map; to be closed after the sockets. Empty: none.
  int map_error = 0;        ///< Why there is none, an errno.
};

/// With a port map for the lease, if the kernel gives one. @throws Error: conflict that names the port if it
/// is in use there, no_path if this process may not enter, timed_out, failure.
OpenDoors bind_inside(const ContainerNet& net, Ipv4 address, const std::vector<Door>& doors,
                      const std::string& lease, Deadline deadline);

/// The port of 127.x at which a socket of this namespace or another is; 0 if the kernel does not say.
std::uint16_t bound_port(const Fd& socket);

/// The errors of a socket that was not made there, and of a container without a network of its own.
Error cannot_listen(const std::string& container, Answer answer, Ipv4 address, std::uint16_t port);
Error uses_our_network(const std::string& container);

/// The ports with a listening socket in the text of /proc/PID/net/tcp or tcp6 (proc(5)), or with one that
/// takes datagrams of anybody in that of udp or udp6. Pure.
std::vector<std::uint16_t> listening_ports(std::string_view proc_net, Protocol protocol = Protocol::tcp);

/// Those of the container, sorted; empty if /proc does not show them.
std::vector<std::uint16_t> listening_ports(const ContainerNet& net, Protocol protocol);

}  // namespace hostnet::relay
