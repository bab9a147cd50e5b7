// The two places in the kernel where the rules of the native path can stand.
#pragma once

#include "hostnet/export.hpp"

namespace hostnet {

/// Which of the kernel's firewalls holds the rules of leases that are made by DNAT.
enum class Firewall {
  automatic,  ///< $TC_HOSTNET_FIREWALL, else what suits this network namespace; where leases are held,
              ///< theirs.
  nftables,   ///< A table of our own in nf_tables. Needs libnftables.
  iptables,   ///< Chains of our own in the legacy ip_tables.
};

/// "auto", "nftables" or "iptables", as the command's --firewall takes it.
HOSTNET_EXPORT const char* to_string(Firewall firewall) noexcept;

}  // namespace hostnet
