// The bridge port of a container, for its anti-spoofing binding.
#pragma once

#include "core/ipv4.hpp"
#include "netlink/link.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace hostnet::exposer {

/// A container's bridge port, or why it is unknown.
struct PortFound {
  std::string name;        ///< Empty: unknown.
  std::string fault;       ///< The reason if unknown, one line.
  bool contested = false;  ///< Another port also has one of the addresses.
};

/// The port by name, or a fault if the name cannot be used in a rule.
PortFound bindable(const netlink::Link& port);

/// The bridge port of the process's interface with that address. Reads the kernel's data; does not enter the
/// process's network namespace. A fault if that is not visible (CAP_NET_ADMIN), or if the name cannot be used
/// in a rule.
PortFound bridge_port_of(netlink::Rtnl& rtnl, pid_t pid, int bridge, Ipv4 address);

/// The bridge port behind which all of these addresses are, from the other ends of veth pairs; enters no
/// namespace. A fault if there is none, if it is not visible, or if an address is behind another port: a
/// caller must not bind addresses that do not belong to one container. No addresses: neither port nor fault.
PortFound bridge_port_holding(netlink::Rtnl& rtnl, int bridge, const std::vector<Ipv4>& addresses);

}  // namespace hostnet::exposer
