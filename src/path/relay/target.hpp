// Resolves a request for the relay path: the container, its network namespace, and the ports that it may
// have.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/container_net.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

struct RelayTarget {
  engine::Container container;
  relay::ContainerNet net;
  bool by_handoff = false;           ///< Only the engine may enter the network (relay/handoff.hpp).
  std::string network;               ///< The first network of the container, else its network mode.
  std::vector<std::string> sources;  ///< Where its connections come from, for display.
};

/// @throws Error{no_path} for an engine that is not known to be on this machine.
void check_engine_is_here(engine::Client& client, Deadline deadline);

/// Why a port would collide with the container's own use of it, as a sentence; empty if nothing tells that it
/// would. `listening`: the container's of that protocol, sorted. `force` lets a port pass that the container only announces.
/// Pure.
std::string port_clash(const engine::Container& container, const std::vector<std::uint16_t>& listening,
                       const HostPort& port, bool force);

/// @throws Error{conflict} that names the other lease if it has one of these container ports. `whose`: "container NAME".
void check_ports_differ(const state::TunnelRecord& other, const std::vector<HostPort>& ports,
                        std::string_view whose);

/// Checks that no other recorded lease but `ignored` has one of these ports in the container: two sockets
/// that both refuse connections for the moment could share a port. @throws Error{conflict} that names the
/// lease.
void check_ports_are_unheld(const state::TunnelStore& store, const engine::Container& container,
                            const std::string& engine, const std::vector<HostPort>& ports,
                            const std::string& ignored = {});

/// For a container. Changes nothing. @throws Error: no_path for another target, and for an engine that is not
/// known to be on this machine; invalid_argument for the host's network; not_found for a container that does
/// not run; conflict for a port that the container uses itself, and if a sidecar has the alias; and what the
/// client throws.
RelayTarget resolve_for_relay(engine::Client& client, const state::TunnelStore& store,
                              const ExposeRequest& request, const std::vector<HostPort>& ports,
                              Deadline deadline);

}  // namespace hostnet::exposer
