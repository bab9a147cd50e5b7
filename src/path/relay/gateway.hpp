// Sockets at the gateway of a network's bridge: for all containers on the network, and for one that has not
// started.
//
// Theory of operation
//
// A container that dials its gateway reaches this host. So a socket there needs no entry into any container,
// and no privilege: root's engine makes the bridge, and any user may listen at an address of this host, from
// port 1024 on.
//
//   step                      an error means
//   SO_BINDTODEVICE(bridge)   ENODEV: the bridge has gone; EPERM: a kernel before 5.7, where that takes CAP_NET_RAW
//   bind GATEWAY:P            EADDRINUSE: a service there, or at every address; EACCES: P is below
//                             net.ipv4.ip_unprivileged_port_start; EADDRNOTAVAIL: the gateway has moved
//   listen, shutdown          as bound_socket.hpp
//
// The name. The containers' hosts files get the network's gateway. A container that was made with the line
// `host.testcontainers.internal:host-gateway` keeps that: it dials the address of the default bridge, by this
// bridge, so that needs a second socket, at that address and bound to this bridge. It is made where a
// container has such a line.
//
// Who reaches it: peers.hpp, and docs/security.md.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/port.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/bound_socket.hpp"
#include "path/relay/engine_net.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// A network that is reached at its gateway.
struct GatewayTarget {
  std::string network;  ///< Its name.
  std::string bridge;   ///< Interface name,
  int ifindex = 0;      ///< and number.
  Ipv4 gateway;
  unsigned prefix = 32;                      ///< Of its subnet.
  std::optional<Ipv4> host_gateway = {};     ///< The engine's `host-gateway`, if that is another address.
  bool by_host_gateway = false;              ///< A container has the name by its own line, with that address.
  std::vector<std::string> containers = {};  ///< Ids of those that run and have no such line.
  /// Where its bridge is, if not in this network namespace: the engine runs rootless.
  std::shared_ptr<const relay::EngineNet> net = {};
  std::uint64_t netns = 0;  ///< The inode of that network namespace, or of this one.
};

/// Changes nothing. @throws Error: no_path if the network has no bridge, or none with an address that is
/// known to be this engine's: in this network namespace (Resolver::resolve()), or in that of a rootless
/// engine, for which one of its containers has to run; not_found.
GatewayTarget resolve_gateway(engine::Client& client, const std::string& engine, const std::string& network,
                              bool force, Deadline deadline);

/// Whether the container was made with a line of its own that gives the name that address, or `host-gateway`.
/// Pure.
bool has_line_for(const engine::Container& container, Ipv4 host_gateway);

/// Checks that no other recorded lease has one of these ports at that gateway: two sockets that both refuse
/// connections for the moment could share a port. A bridge of that name in another network namespace, as of a
/// rootless engine, is another gateway. @throws Error{conflict} that names the lease.
void check_gateway_is_unheld(const state::TunnelStore& store, const GatewayTarget& target,
                             const std::vector<HostPort>& ports, const std::string& ignored = {});

/// resolve_gateway() for a request, with all checks of it against other leases. Changes nothing. @throws
/// Error: as that, and as those checks; no_path for an engine that is not known to be on this machine.
GatewayTarget checked_network(engine::Client& client, const state::TunnelStore& store,
                              const ExposeRequest& request, const std::vector<HostPort>& ports,
                              Deadline deadline);

/// Logs what this host's firewall drops of the packets that come in by the bridge, as far as this user may
/// read that.
void warn_of_firewall(const GatewayTarget& target, const std::vector<HostPort>& ports, Deadline deadline);

/// For a container that has not started, which could as well be served in its own network: nobody sees there that this
/// host drops its packets. @throws Error{no_path} if it does, or if this user cannot find out.
void check_firewall_ahead(const GatewayTarget& target, const std::vector<HostPort>& ports, Deadline deadline);

}  // namespace hostnet::exposer

namespace hostnet::relay {

/// One socket of a lease at a gateway.
struct GatewaySocket {
  Ipv4 address;
  std::size_t port = 0;  ///< Index in the lease's ports.

  bool operator==(const GatewaySocket&) const = default;
};

/// Those that a lease needs, in the order in which they are made. Pure.
std::vector<GatewaySocket> gateway_sockets(const exposer::GatewayTarget& target, std::size_t ports);

/// A socket for Relay::add(). @throws Error: conflict that names what has the port, no_path; timed_out.
Fd bind_at_gateway(const exposer::GatewayTarget& target, Ipv4 address, const HostPort& port,
                   Deadline deadline);

/// What has taken the port: "a service of uid 1000 listens on 0.0.0.0:80"; or that it is in use, if that is
/// not seen.
std::string holder_of(const exposer::GatewayTarget& target, Ipv4 address, const HostPort& port);

/// The error of a socket that was not made. Pure. `holder` as holder_of().
Error cannot_listen_at(const std::string& bridge, Ipv4 address, const HostPort& port, Answer answer,
                       const std::string& holder);

}  // namespace hostnet::relay
