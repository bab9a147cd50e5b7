// Resolves a target's name into the facts for the firewall: bridge, gateways, sources.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/alias.hpp"
#include "engine/client.hpp"
#include "hostnet/target.hpp"
#include "lease/snapshot.hpp"
#include "netlink/link.hpp"
#include "target/bridge_port.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// A target on this host at this moment.
struct Resolved {
  netlink::Link bridge;
  std::vector<Ipv4> gateways;  ///< Host addresses that the target may dial; the first is the alias's.
  std::vector<Ipv4> sources;   ///< The target's own addresses; empty: the whole bridge.
  std::vector<engine::AliasRecord> aliases;  ///< The running containers that get the alias.
  std::optional<state::ProcessId> served;    ///< First process, if the target is a container.
  PortFound port;                            ///< The target's only bridge port.
};

/// Resolves targets; asks the engine only for containers and networks. Not thread-safe.
class Resolver {
 public:
  /// `engine` as in ExposerOptions.
  Resolver(netlink::Rtnl& rtnl, std::string engine) : rtnl_(rtnl), engine_(std::move(engine)) {}

  /// @throws Error: invalid_argument (malformed name, not a bridge, network mode without a bridge), not_found
  /// (missing target), no_path (the network is no bridge, not in this network namespace, or without an IPv4
  /// gateway; for a container, each of its networks with the reason against it), conflict
  /// (the user has defined the alias), and what the engine's client throws.
  Resolved resolve(const Target& target, bool with_alias, bool force, Deadline deadline);

 private:
  // A network and its local bridge, not yet proved to be that network's.
  struct OnBridge {
    engine::Network network;
    Resolved resolved;
  };
  Resolved bridge(const std::string& name, bool force);
  Resolved network(const std::string& name, bool with_alias, bool force, Deadline deadline);
  Resolved container(const std::string& name, bool with_alias, bool force, Deadline deadline);
  Resolved on_network_of(const engine::Container& container, const engine::Endpoint& endpoint, bool force,
                         Deadline deadline);
  Resolved on_any_network_of(const engine::Container& container, bool force, Deadline deadline);
  Resolved netns(const std::string& path, bool force);

  engine::Client& client();
  void refuse_remote(const std::string& whose, Deadline deadline);
  OnBridge on_bridge(const std::string& network, bool force, Deadline deadline);
  netlink::Link local_bridge(const std::string& name, const std::string& whose, Deadline deadline);
  std::vector<Ipv4> gateways_of(const netlink::Link& bridge, std::optional<Ipv4> configured,
                                const std::string& whose, Deadline deadline);
  void check_ports_of(const netlink::Link& bridge, bool force);

  netlink::Rtnl& rtnl_;
  std::string engine_;
  std::optional<engine::Client> client_;
};

}  // namespace hostnet::exposer
