// Which leases of this process serve the same ports, and so may give one container the alias together.
//
// A container on two networks with a lease each (`expose --project`) gets the alias from both. A resolver then knows two
// addresses for the name. Both lead to the same services, so neither lease takes a port from the other: both lines stand
// in its hosts file, and each goes with its own lease. That is not so of leases with other ports.
#pragma once

#include "hostnet/port.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Makes a lease known to names_beside() while it lives. A forked child knows its own leases only.
class KnownLease {
 public:
  KnownLease();
  KnownLease(const KnownLease&) = delete;
  KnownLease& operator=(const KnownLease&) = delete;
  ~KnownLease();

  /// Before the first name of the lease is written. `addresses` are those that its names have. Thread-safe.
  void set(const std::string& lease, std::span<const HostPort> ports,
           std::vector<std::string> addresses = {});

 private:
  std::uint64_t made_in_;
};

/// The ids of this process's leases with exactly these ports, and the addresses of their names: for
/// engine::definition_by_others(). In any order. Thread-safe.
std::vector<std::string> names_beside(std::span<const HostPort> ports);

}  // namespace hostnet::exposer
