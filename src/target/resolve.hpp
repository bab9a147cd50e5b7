// From a target's name to what the firewall needs to know of it: bridge, gateways, sources.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/alias.hpp"
#include "engine/client.hpp"
#include "hostnet/target.hpp"
#include "lease/snapshot.hpp"
#include "netlink/link.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// The port of a bridge that a container is on, or why it is not known.
struct PortFound {
  std::string name;        ///< Empty: not known.
  std::string fault;       ///< Then: why, one line.
  bool contested = false;  ///< Another port has one of the container's addresses as well.
};

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

/// The end on this side of a veth pair into a network namespace.
struct Attachment {
  netlink::Link port;           ///< Here, and on a bridge.
  std::vector<Ipv4> addresses;  ///< Of the end in there; at least one.
};

/// The first of them, or the one to which `address` belongs; nullopt when there is none. @throws Error, also
/// when the namespace may not be entered (CAP_SYS_ADMIN).
std::optional<Attachment> find_attachment(netlink::Rtnl& rtnl, int netns_fd,
                                          std::optional<Ipv4> address = {});

/// The bridge's port behind which a process has that address, as the kernel tells: its network namespace is
/// not entered. Not found where that cannot be seen (CAP_NET_ADMIN), or the name is none for a rule.
PortFound bridge_port_of(netlink::Rtnl& rtnl, pid_t pid, int bridge, Ipv4 address);

/// The bridge's port behind which all of these addresses are, as the kernel tells of the other ends of veths;
/// nobody's namespace is entered. Not found where there is none or it cannot be seen, and where any of them
/// is behind another port: who names addresses that are not one container's must not have them pinned.
/// Without addresses, neither a port nor a fault.
PortFound bridge_port_holding(netlink::Rtnl& rtnl, int bridge, const std::vector<Ipv4>& addresses);

/// Why an interface name cannot be one, or nullopt. Stricter than the kernel, which allows all but '/' and
/// blanks: a name also stands in rules that people copy into a shell.
std::optional<std::string> interface_name_fault(std::string_view name);

/// The endpoint by which a container reaches the world: the one whose gateway is its default route
/// (`default_gateway`, nullopt when it has none), else the first that has an address. Null when none has.
const engine::Endpoint* primary_endpoint(const engine::Container& container,
                                         std::optional<Ipv4> default_gateway);

/// primary_endpoint() of a running container, by the default route of its process where its engine is `local`
/// (Client::why_remote()), else the first. @throws Error{not_found} when it has no IPv4 address.
const engine::Endpoint& endpoint_of(const engine::Container& container, bool local);

/// The gateway of the default route in the text of /proc/PID/net/route (proc(5)); nullopt when there is none.
std::optional<Ipv4> default_gateway(std::string_view proc_net_route);

/// Whether the engine has its bridges in a network namespace of its own, under names and addresses that may
/// be taken here by another engine's. @throws What Client::is_rootless() throws.
bool runs_rootless(engine::Client& client, Deadline deadline);

/// Refuses the network modes in which a container has no bridge of its own to reach the host by.
/// `own_loopback`: what the engine calls the host's network is, or may be, another one than ours, as under
/// RootlessKit or on another machine.
/// @throws Error{invalid_argument}
void check_network_mode(const engine::Container& container, bool own_loopback = false);

/// check_network_mode(), asking the container's engine what its host is where that matters.
/// @throws Error: that, and what the client throws.
void check_network_mode(engine::Client& client, const engine::Container& container, Deadline deadline);

}  // namespace hostnet::exposer
