// The kernel firewalls that can hold the rules of the native path.
#pragma once

#include "hostnet/export.hpp"

namespace hostnet {

/// The firewall that holds the DNAT rules of a lease. Later versions may add values.
enum class Firewall {
  automatic,  ///< $TC_HOSTNET_FIREWALL. Without it, the firewall of the leases that this network namespace
              ///< has, else the one that suits the namespace.
  nftables,   ///< A separate table in nf_tables. Needs libnftables.
  iptables,   ///< Separate chains in legacy ip_tables.
};

/// "auto", "nftables" or "iptables", the values of `tc-hostnet --firewall`. Never null.
HOSTNET_EXPORT const char* to_string(Firewall firewall) noexcept;

}  // namespace hostnet
