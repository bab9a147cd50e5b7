// Which listeners a path reaches for a port, and what to type when the service listens on another address.
// Pure.
//
//   listener                     native, helper: packets of a bridge    ssh: a connection from this host
//   the address itself, 0.0.0.0  yes                                    yes
//   ::, not IPV6_V6ONLY          yes                                    yes
//   [::1]                        no                                     yes; for 127.0.0.1 if that is silent
//   on device lo                 no: SO_BINDTODEVICE takes only what    yes
//                                comes in by lo (systemd-resolved)
#pragma once

#include "hostnet/port.hpp"
#include "netlink/sock_diag.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Where connections to the service come from.
enum class Origin {
  bridge,  ///< Forwarded packets: native and helper.
  host,    ///< A socket of this host: ssh.
};

bool is_reached(const HostPort& port, const netlink::Listener& listener, Origin origin);

/// The address on which the service listens now: the port's own, or ::1 where that is dialled instead; empty: nothing
/// that is reached listens. A service that starts again may listen on another.
std::string found_at(const HostPort& port, const std::vector<netlink::Listener>& found, Origin origin);

/// Listeners on the port's number of which none is reached.
struct Others {
  std::string listeners;            ///< "127.0.0.53:53 and 127.0.0.54:53".
  std::optional<HostPort> instead;  ///< The same exposure of the first of them that can be named.
  std::string dialled;              ///< The first that containers dial without an exposure; empty: none.
};

/// nullopt: there are none. With `origin` bridge, `instead` is a port that forwarded packets reach.
std::optional<Others> others_of(const HostPort& port, const std::vector<netlink::Listener>& found,
                                Origin origin);

/// One clause on what to do: "to expose that one: COMMAND", or that containers reach it anyway. Empty if
/// there is nothing to do. `command` makes the command line for a port.
std::string advice(const Others& others, const std::function<std::string(const HostPort&)>& command);

}  // namespace hostnet::exposer
