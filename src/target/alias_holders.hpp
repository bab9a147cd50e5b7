// Who already answers to the alias where a new lease needs it.
//
// A container resolves the alias to one address. A lease on the ssh path gives it a sidecar's address: by the
// engine's DNS for a network, by the hosts file, which DNS comes after, for one container. Leases on the other
// paths give it the gateway's, in the hosts file. So a second lease can take the name, and with it all ports
// of the first, from a container. These checks refuse the second lease before it changes anything:
//
//   a new lease                   conflicts with
//   for a container, any path     a sidecar with the name on one of the container's networks;
//                                 a sidecar for the same container
//   for a container, by sidecar   any line with the name in its hosts file
//   for a container, else         a line that gives it another address than its own
//   for a network, any path       a sidecar with the name on that network, or on another network of one of
//                                 its containers
//   for an overlay network        any sidecar on that network on another node of the swarm
//   for a network, by DNS         a lease's line in the hosts file of one of its containers, and a sidecar for
//                                 one of them; an entry of the user (--add-host) gets a warning
//
// Two leases that both lead to the gateway share the name, and so do leases of one process with the same ports
// (lease/same_ports.hpp), as those for the networks of a compose project. The engine's labels tell of leases of every user.
//
// Two processes may make a lease at once and see no sidecar of the other. So each checks again once its own sidecar
// runs, and gives way to one that the engine created earlier: exactly one of them stays.
#pragma once

#include "core/deadline.hpp"
#include "core/ip.hpp"
#include "engine/client.hpp"
#include "hostnet/exposer.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// Carries the lease's id; every sidecar of ours has it.
inline constexpr const char* kLeaseLabel = "io.github.tchostnet.lease";
/// Carries the id of the network on which the sidecar answers to the alias by DNS.
inline constexpr const char* kAliasLabel = "io.github.tchostnet.alias-network";
/// Carries the id of the one container whose hosts file gives the alias the sidecar's address.
inline constexpr const char* kAliasContainerLabel = "io.github.tchostnet.alias-container";
/// Carries the lease's ports, separated by commas.
inline constexpr const char* kLeasePortsLabel = "io.github.tchostnet.lease-ports";
/// On every container that ends with a process: carries that process (path/sidecar/labels.hpp).
inline constexpr const char* kOwnerLabel = "io.github.tchostnet.owner";

/// A sidecar's name is this and its lease's id.
inline constexpr std::string_view kSidecarPrefix = "tc-hostnet-";

/// A lease whose sidecar has the alias.
struct AliasHolder {
  std::string lease;
  std::string network;    ///< Id; empty unless by DNS.
  std::string container;  ///< Id; empty unless for one container.
  std::vector<HostPort> ports = {};
};

/// The holder that the labels of a running container describe; its lease is empty if it is none. Ignores ports
/// that make no sense. Pure.
AliasHolder alias_holder(const std::map<std::string, std::string>& labels);

/// An engine's time, "2026-01-31T23:59:59.123456789+01:00" or with Z, in nanoseconds since the epoch; nullopt for
/// other text. Pure.
std::optional<std::int64_t> nanoseconds_of(std::string_view time);

/// The command line that exposes the ports of both in one lease: "tc-hostnet expose 8088 9090 --network web".
/// Pure.
std::string one_line_for(const std::vector<HostPort>& first, const std::vector<HostPort>& second,
                         const Target& target);

/// Warns of a container with an entry for the alias from its creation (--add-host), which comes before a network's
/// DNS; returns whether it has one.
bool warn_of_own_entry(const engine::Container& container);

/// How a lease gives containers the alias.
enum class NameBy {
  dns,              ///< A network's own, with the sidecar's address.
  sidecar_in_file,  ///< Hosts files, with the sidecar's address.
  gateway_in_file,  ///< Hosts files, with an address that leases share: the gateway's, or the relay's.
};

struct AliasCheck {
  NameBy by = NameBy::gateway_in_file;
  std::string runtime_dir = {};  ///< As in ExposerOptions: where this user's leases are.
  /// The sidecar of this lease runs: it does not count, and the hosts file of a single container is not read again, as
  /// writing to it makes the same check.
  std::string own = {};
};

/// Checks a request that writes the alias. @throws Error: conflict, with the line that exposes the ports of both
/// leases; not_found, and what the client throws.
void check_alias_is_unheld(engine::Client& client, const ExposeRequest& request, const AliasCheck& check,
                           Deadline deadline);

/// The same; `engine` as in ExposerOptions. Asks no engine for other targets than containers and networks.
void check_alias_is_unheld(const std::string& engine, const ExposeRequest& request, const AliasCheck& check,
                           Deadline deadline);

/// Checks the hosts file of the one container of a request, whose name may have one of these addresses already. Only
/// for NameBy::gateway_in_file, which the checks above do not read it for. @throws Error{conflict}.
void check_hosts_file(const std::string& hosts, const std::string& container, const ExposeRequest& request,
                      const std::vector<Ip>& leads_to, const std::string& runtime_dir);

}  // namespace hostnet::exposer
