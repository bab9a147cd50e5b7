// Compares the engine's network with the interfaces here.
#include "target/bridge_to_come.hpp"

#include "netlink/link.hpp"
#include "target/interface_name.hpp"

namespace hostnet::exposer {

bool bridge_will_come(engine::Client& client, const engine::Network& network, Deadline deadline) {
  // A remote engine's bridge name may mean another machine's bridge.
  if (client.why_remote(deadline)) return false;
  if (network.driver != "bridge" || network.bridge.empty() || interface_name_fault(network.bridge))
    return false;
  if (netlink::Rtnl().link(network.bridge)) return false;
  return client.is_podman(deadline) && !client.is_rootless(deadline);
}

}  // namespace hostnet::exposer
