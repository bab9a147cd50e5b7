// Resolves a target for the ssh path: the sidecar's network, and the sources that may use it.
#pragma once

#include "core/deadline.hpp"
#include "core/ip.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "hostnet/target.hpp"
#include "path/sidecar/candidates.hpp"
#include "target/alias_holders.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// The one container that a lease serves, as it was when resolved.
struct ServedContainer {
  std::string id;
  pid_t pid = 0;              ///< On the engine's host; another pid means another run.
  std::vector<Ip> addresses;  ///< Where its connections come from: its own on the sidecar's network.
};

/// On the first of its networks. `local` as in endpoints_of(). @throws Error{not_found} for one without an
/// address.
ServedContainer served(const engine::Container& container, bool local);

struct SshTarget {
  engine::Network network;                   ///< The sidecar's network.
  std::optional<std::vector<Ip>> sources;    ///< Allowed sources; nullopt: all on the network.
  std::optional<ServedContainer> container;  ///< The lease ends with it; none for a whole network.
  std::vector<std::string> alias_in;  ///< Ids of the running containers whose hosts file gets the alias.
  bool alias_by_dns = false;          ///< The engine's DNS resolves the alias to the sidecar.
  Surroundings known = {};            ///< Ways to the sidecar.
};

/// How the lease gives containers the alias.
NameBy name_by(const SshTarget& target);

inline constexpr std::string_view kSshPortReserved = "SSH port is reserved";

/// A UDP port (invalid_argument). A path that carries datagrams may serve it.
class NoDatagrams : public Error {
 public:
  using Error::Error;
};

/// @throws Error{invalid_argument} for a port that the path cannot serve, NoDatagrams for UDP.
void check_port_for_ssh(const HostPort& port);

/// @throws Error: no_path for a target that is neither a container nor a network of an engine, and for
/// networks that a sidecar cannot join or where it cannot be reached (of a container: each of its networks
/// with the reason against it), invalid_argument (a network mode or driver without addresses), not_found, conflict (the user
/// has defined the alias), and what the engine's client throws.
SshTarget resolve_for_ssh(engine::Client& client, const Target& target, bool with_alias, Deadline deadline);

}  // namespace hostnet::exposer
