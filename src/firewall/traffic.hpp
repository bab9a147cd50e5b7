// Traffic through each forward, from its rule's counters.
#pragma once

#include "firewall/ruleset.hpp"

#include <cstdint>
#include <vector>

namespace hostnet::firewall {

/// The forward's rule or map element is in table nat, which sees only the first packet of each connection: so
/// `packets` counts connections, and `bytes` the bytes of these first packets.
struct ForwardTraffic {
  Forward forward;  ///< Without the lease: leases may share a rule.
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// All forwards in the legacy ip_tables of the calling thread's network namespace. Takes no lock, changes
/// nothing. @throws Error.
std::vector<ForwardTraffic> read_legacy_traffic();

}  // namespace hostnet::firewall
