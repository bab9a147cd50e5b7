// The ways in which a port can be exposed.
#pragma once

#include "hostnet/export.hpp"

namespace hostnet {

/// Which way the bytes go; a value to choose by, and to be told.
enum class Path {
  automatic,  ///< Chosen by what this machine allows: native, else helper, else ssh.
  native,     ///< DNAT and route_localnet on this host's own bridge; needs CAP_NET_ADMIN and CAP_NET_RAW.
  helper,     ///< The same, made by tc-hostnetd for a caller whom polkit authorises.
  ssh,  ///< An sshd sidecar on the container's network and a reverse tunnel; needs an engine's socket. TCP.
};

/// "auto", "native", "helper" or "ssh", as the command's --via takes it.
HOSTNET_EXPORT const char* to_string(Path path) noexcept;

}  // namespace hostnet
