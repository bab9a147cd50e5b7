// The paths: the ways in which a container reaches a host port.
#pragma once

#include "hostnet/export.hpp"

namespace hostnet {

/// The path of a lease. Later versions may add values.
enum class Path {
  automatic,  ///< The first path that works on this machine: native, then helper, then ssh, then relay.
  native,     ///< DNAT and route_localnet on a bridge of this host. Needs CAP_NET_ADMIN and CAP_NET_RAW.
  helper,     ///< The same rules, installed by tc-hostnetd for a caller that polkit authorises.
  ssh,        ///< An sshd sidecar on the container's network and a reverse tunnel. Needs an engine. TCP only.
  /// A socket in the container's own network, or for TCP at the gateway of a network, relayed by this process. Needs an
  /// engine of this machine.
  relay,
};

/// "auto", "native", "helper", "ssh" or "relay", the values of `tc-hostnet --via`. Never null.
HOSTNET_EXPORT const char* to_string(Path path) noexcept;

}  // namespace hostnet
