// The leases of one network namespace and their bridges, as data.
#pragma once

#include "hostnet/firewall.hpp"
#include "lease/lease.hpp"
#include "lease/lease_list.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::state {

/// A bridge with at least one lease.
struct Bridge {
  int ifindex = 0;
  std::string name;                   ///< Last known name; rules match by name.
  bool prior_route_localnet = false;  ///< Restored when the last lease ends.

  bool operator==(const Bridge&) const = default;
};

/// An alias that a finished lease left in a container's hosts file, because the file could not be edited. The
/// lease's forwards are closed.
struct NameLeft {
  std::string lease;
  engine::AliasRecord record;
  int tries = 0;  ///< Attempts to remove it.

  bool operator==(const NameLeft&) const = default;
};

/// The state of one network namespace.
struct Snapshot {
  std::vector<Bridge> bridges;
  LeaseList leases;                        ///< Oldest first.
  Firewall firewall = Firewall::iptables;  ///< Holds the rules of all leases; never `automatic`.
  std::vector<NameLeft> names;             ///< Aliases still to remove; no rule depends on them.

  [[nodiscard]] const Bridge* bridge(int ifindex) const;
  [[nodiscard]] Bridge* bridge(int ifindex);
  [[nodiscard]] const Lease* lease(std::string_view id) const { return leases.find(id); }
  /// Removes the bridges without a lease.
  void drop_idle_bridges();

  /// Whether both need the same kernel rules and settings.
  [[nodiscard]] bool has_same_rules(const Snapshot& other) const {
    return bridges == other.bridges && leases == other.leases && firewall == other.firewall;
  }
  /// Whether it has no lease and no alias to remove.
  [[nodiscard]] bool is_empty() const noexcept { return leases.empty() && names.empty(); }

  bool operator==(const Snapshot&) const = default;
};

}  // namespace hostnet::state
