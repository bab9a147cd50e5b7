// Matches the veth ends in a namespace with their peers here.
#include "target/attachment.hpp"

#include <algorithm>
#include <utility>

namespace hostnet::exposer {

std::optional<Attachment> find_attachment(netlink::Rtnl& rtnl, int netns_fd, std::optional<Ipv4> address) {
  auto inside = netlink::Rtnl::in_namespace(netns_fd);
  static_cast<void>(rtnl.links());  // makes the kernel number the peers' namespaces
  const auto number = rtnl.netns_number(netns_fd);
  if (!number) return std::nullopt;
  for (const auto& link : inside.links()) {
    if (link.kind != "veth" || link.peer == 0) continue;
    auto port = rtnl.link(link.peer);
    // The index belongs to the peer's namespace, which need not be ours. The real peer here points back into
    // that same namespace; eth0 has the same index in many.
    if (!port || port->kind != "veth" || port->peer != link.ifindex || port->peer_netns != number ||
        port->master == 0)
      continue;
    Attachment out{.port = std::move(*port), .addresses = netlink::distinct(inside.addresses(link.ifindex))};
    const bool wanted = !address || std::ranges::find(out.addresses, *address) != out.addresses.end();
    if (!out.addresses.empty() && wanted) return out;
  }
  return std::nullopt;
}

}  // namespace hostnet::exposer
