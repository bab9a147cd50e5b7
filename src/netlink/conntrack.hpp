// Connection-tracking entries: listing those that a DNAT made, and deleting them (nfnetlink, libnl-nf).
#pragma once

#include <vector>

#include "core/ipv4.hpp"
#include "hostnet/port.hpp"

namespace hostnet::netlink {

/// One IPv4 conntrack entry: both directions as the kernel sees them.
struct Flow {
  Protocol protocol = Protocol::tcp;
  Endpoint source;        ///< Original direction: who opened it …
  Endpoint destination;   ///< … and what they dialled (before DNAT).
  Endpoint reply_source;  ///< Who answers (after DNAT) …
  Endpoint reply_destination;

  bool operator==(const Flow&) const = default;
};

/// All TCP and UDP entries over IPv4 of the calling thread's netns. @throws Error (CAP_NET_ADMIN).
std::vector<Flow> conntrack_flows();

/// Deletes one entry. @return false when it is gone already. @throws Error.
bool delete_flow(const Flow& flow);

}  // namespace hostnet::netlink
