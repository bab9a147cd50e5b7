// How much has come in by each door, from the counters of its rule.
#pragma once

#include "firewall/ruleset.hpp"

#include <cstdint>
#include <vector>

namespace hostnet::firewall {

/// The door's rule, or element of a map, is in table nat, which sees the first packet of each connection: so
/// `packets` counts connections, and `bytes` those of their first packets.
struct DoorTraffic {
  Door door;  ///< Without its lease: leases may share a rule.
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// All doors that stand in the legacy ip_tables of the calling thread's network namespace. Takes no lock,
/// changes nothing. @throws Error.
std::vector<DoorTraffic> read_legacy_traffic();

}  // namespace hostnet::firewall
