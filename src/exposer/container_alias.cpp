// Choosing how the hosts file is edited.
#include "exposer/container_alias.hpp"

#include "engine/alias.hpp"
#include "engine/containers.hpp"
#include "engine/exec_alias.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"

#include <unistd.h>

#include <optional>

namespace hostnet::exposer {
namespace {

// What is needed to edit it from outside; nullopt where that is not for us to do. What an engine on the
// network, or at another user's socket, says of pids and paths is not to be acted upon as root.
std::optional<engine::AliasRecord> from_outside(engine::Client& client, const engine::Container& container,
                                                Deadline deadline) {
  if (::geteuid() != 0 || client.why_remote(deadline)) return std::nullopt;
  try {
    return engine::alias_record(container);
  } catch (const Error& error) {
    // An engine elsewhere, or in another user namespace: the pid it names is not one of this machine's.
    if (error.code() == Errc::not_found || error.code() == Errc::not_authorised) return std::nullopt;
    throw;
  }
}

}  // namespace

void write_container_alias(engine::Client& client, const std::string& container, Ipv4 address,
                           const std::string& lease, Deadline deadline) {
  if (const auto record = from_outside(client, client.container(container, deadline), deadline)) {
    engine::write_alias(*record, kAlias, address, lease);
    return;
  }
  engine::Containers containers(client);
  engine::write_alias_inside(containers, container, kAlias, address, lease, deadline);
}

void remove_container_alias(engine::Client& client, const std::string& container, const std::string& lease,
                            Deadline deadline) {
  try {
    const auto found = client.container(container, deadline);
    if (!found.running) return;
    if (const auto record = from_outside(client, found, deadline))
      return engine::remove_alias(*record, lease);
    engine::Containers containers(client);
    engine::remove_alias_inside(containers, container, lease, deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
}

}  // namespace hostnet::exposer
