// Where a network namespace hangs on a bridge of this one.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/link.hpp"

#include <optional>
#include <vector>

namespace hostnet::exposer {

/// The end on this side of a veth pair into a network namespace.
struct Attachment {
  netlink::Link port;           ///< Here, and on a bridge.
  std::vector<Ipv4> addresses;  ///< Of the end in there; at least one.
};

/// The first of them, or the one to which `address` belongs; nullopt when there is none. @throws Error, also
/// when the namespace may not be entered (CAP_SYS_ADMIN).
std::optional<Attachment> find_attachment(netlink::Rtnl& rtnl, int netns_fd,
                                          std::optional<Ipv4> address = {});

}  // namespace hostnet::exposer
