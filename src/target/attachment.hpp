// Where a network namespace is attached to a bridge of this one.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/link.hpp"

#include <optional>
#include <vector>

namespace hostnet::exposer {

/// This side's end of a veth pair into a network namespace.
struct Attachment {
  netlink::Link port;           ///< In this namespace, on a bridge.
  std::vector<Ipv4> addresses;  ///< Of the other end; at least one.
};

/// The first attachment, or the one with `address`; nullopt if there is none. @throws Error, also if this
/// process may not enter the namespace (CAP_SYS_ADMIN).
std::optional<Attachment> find_attachment(netlink::Rtnl& rtnl, int netns_fd,
                                          std::optional<Ipv4> address = {});

}  // namespace hostnet::exposer
