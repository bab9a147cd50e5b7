// From a target's name to what the ssh path needs to know of it: the network for the sidecar, and who may use
// it.
#pragma once

#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "engine/client.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// The one container that a lease is for, as it was when it was found.
struct ServedContainer {
  std::string id;
  pid_t pid = 0;  ///< On the engine's host. Another one is another run.
  Ipv4 address;   ///< Where its connections come from.
};

/// `local` as endpoint_of() has it. @throws Error{not_found} for one without an IPv4 address.
ServedContainer served(const engine::Container& container, bool local);

struct SshTarget {
  engine::Network network;                   ///< The sidecar goes there.
  std::optional<std::vector<Ipv4>> sources;  ///< Only from these; nullopt: everybody on the network.
  std::optional<ServedContainer> container;  ///< The lease ends with it; none for a whole network.
  std::vector<std::string> alias_in;  ///< Ids of the running containers whose hosts file shall get the alias.
  bool alias_by_dns = false;          ///< The sidecar shall answer to the alias on the network.
  bool direct = false;                ///< Its address on that network can be dialled from here.
};

inline constexpr std::string_view kSshPortReserved = "SSH port is reserved";

/// @throws Error{invalid_argument} for a port that the path cannot lead to.
void check_port_for_ssh(const HostPort& port);

/// On which address of the engine's host the sidecar's port is published: none (empty) where the sidecar is
/// dialled directly, 127.0.0.1 for an engine that is spoken to on this machine, every address (0.0.0.0) for
/// one on another: which of its addresses leads here, only that machine's routes know.
std::string publish_on(const SshTarget& target, const engine::Address& engine);

/// @throws Error: no_path for what is no container and no network of an engine, invalid_argument (a network
/// mode or driver without addresses of its own), not_found, conflict (the user has defined the alias), and
/// all that the engine's client throws.
SshTarget resolve_for_ssh(engine::Client& client, const Target& target, bool with_alias, Deadline deadline);

}  // namespace hostnet::exposer
