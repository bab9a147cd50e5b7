// What is held on this host, as data: the leases and the bridges they opened.
#pragma once

#include "hostnet/firewall.hpp"
#include "state/lease.hpp"
#include "state/lease_list.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::state {

/// A bridge on which at least one lease stands.
struct Bridge {
  int ifindex = 0;
  std::string name;                   ///< As last seen; rules match by name.
  bool prior_route_localnet = false;  ///< What to restore when the last lease goes.

  bool operator==(const Bridge&) const = default;
};

/// Everything held in one network namespace.
struct Holdings {
  std::vector<Bridge> bridges;
  LeaseList leases;                        ///< Oldest first.
  Firewall firewall = Firewall::iptables;  ///< Where the rules of all of them stand; never `automatic`.

  [[nodiscard]] const Bridge* bridge(int ifindex) const;
  [[nodiscard]] Bridge* bridge(int ifindex);
  [[nodiscard]] const Lease* lease(std::string_view id) const { return leases.find(id); }
  /// Removes the bridges that no lease names any more.
  void drop_idle_bridges();

  bool operator==(const Holdings&) const = default;
};

}  // namespace hostnet::state
