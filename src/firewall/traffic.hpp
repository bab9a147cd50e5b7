// How much has come in by each forward, from the counters of its rule.
#pragma once

#include "firewall/ruleset.hpp"

#include <cstdint>
#include <vector>

namespace hostnet::firewall {

/// The forward's rule, or element of a map, is in table nat, which sees the first packet of each connection:
/// so `packets` counts connections, and `bytes` those of their first packets.
struct ForwardTraffic {
  Forward forward;  ///< Without its lease: leases may share a rule.
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// All forwards that stand in the legacy ip_tables of the calling thread's network namespace. Takes no lock,
/// changes nothing. @throws Error.
std::vector<ForwardTraffic> read_legacy_traffic();

}  // namespace hostnet::firewall
