// What is held on this host, as data: the leases and the bridges they opened.
#pragma once

#include "hostnet/firewall.hpp"
#include "lease/lease.hpp"
#include "lease/lease_list.hpp"

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

/// A name that a lease that is over has left in a container's hosts file: its forwards are closed, and the
/// file was not to be had.
struct NameLeft {
  std::string lease;
  engine::AliasRecord record;
  int tries = 0;  ///< To take it out.

  bool operator==(const NameLeft&) const = default;
};

/// Everything held in one network namespace.
struct Snapshot {
  std::vector<Bridge> bridges;
  LeaseList leases;                        ///< Oldest first.
  Firewall firewall = Firewall::iptables;  ///< Where the rules of all of them stand; never `automatic`.
  std::vector<NameLeft> names;             ///< Still to be taken out; no rule depends on them.

  [[nodiscard]] const Bridge* bridge(int ifindex) const;
  [[nodiscard]] Bridge* bridge(int ifindex);
  [[nodiscard]] const Lease* lease(std::string_view id) const { return leases.find(id); }
  /// Removes the bridges that no lease names any more.
  void drop_idle_bridges();

  /// Whether the kernel's rules and settings are the same for both.
  [[nodiscard]] bool has_same_rules(const Snapshot& other) const {
    return bridges == other.bridges && leases == other.leases && firewall == other.firewall;
  }
  /// Nothing to remember: no lease, and no name that one has left.
  [[nodiscard]] bool is_empty() const noexcept { return leases.empty() && names.empty(); }

  bool operator==(const Snapshot&) const = default;
};

}  // namespace hostnet::state
