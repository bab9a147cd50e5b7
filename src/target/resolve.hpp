// From a target's name to what the firewall needs to know of it: bridge, gateways, sources.
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

/// A target on this host, as it is at this moment.
struct Resolved {
  netlink::Link bridge;
  std::vector<Ipv4> gateways;  ///< By which the target may dial the host; the first is the alias's.
  std::vector<Ipv4> sources;   ///< The target's own addresses; empty when everybody on the bridge is meant.
  std::vector<engine::AliasRecord> aliases;  ///< The running containers that shall get the alias.
  std::optional<state::ProcessId> served;    ///< The first process of the container, where one is meant.
  PortFound port;  ///< The bridge's port that the target is on, by which alone it sends.
};

/// Looks targets up, asking the engine only where a container or a network is named. Not thread-safe.
class Resolver {
 public:
  /// `engine` as in ExposerOptions.
  Resolver(netlink::Rtnl& rtnl, std::string engine) : rtnl_(rtnl), engine_(std::move(engine)) {}

  /// @throws Error: invalid_argument (malformed name, not a bridge, network mode without a bridge), not_found
  /// (no such
  ///         thing, no gateway address), no_path (the bridge is not in this network namespace), conflict (the
  ///         user has defined the alias), and all that the engine's client throws.
  Resolved resolve(const Target& target, bool with_alias, bool force, Deadline deadline);

 private:
  // What is on a network's bridge, which was found here but not yet shown to be that network's.
  struct OnBridge {
    engine::Network network;
    Resolved resolved;
  };
  Resolved bridge(const std::string& name, bool force);
  Resolved network(const std::string& name, bool with_alias, bool force, Deadline deadline);
  Resolved container(const std::string& name, bool with_alias, bool force, Deadline deadline);
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
