// By which port of a bridge a container sends, for a rule that binds its address to that port.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/link.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace hostnet::exposer {

/// The port of a bridge that a container is on, or why it is not known.
struct PortFound {
  std::string name;        ///< Empty: not known.
  std::string fault;       ///< Then: why, one line.
  bool contested = false;  ///< Another port has one of the container's addresses as well.
};

/// The port by its name; a fault for a name that no rule can have, since such a port is as good as unknown.
PortFound bindable(const netlink::Link& port);

/// The bridge's port behind which a process has that address, as the kernel tells: its network namespace is
/// not entered. Not found where that cannot be seen (CAP_NET_ADMIN), or the name is none for a rule.
PortFound bridge_port_of(netlink::Rtnl& rtnl, pid_t pid, int bridge, Ipv4 address);

/// The bridge's port behind which all of these addresses are, as the kernel tells of the other ends of veths;
/// nobody's namespace is entered. Not found where there is none or it cannot be seen, and where any of them
/// is behind another port: who names addresses that are not one container's must not have them pinned.
/// Without addresses, neither a port nor a fault.
PortFound bridge_port_holding(netlink::Rtnl& rtnl, int bridge, const std::vector<Ipv4>& addresses);

}  // namespace hostnet::exposer
