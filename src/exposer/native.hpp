// The native path: DNAT and route_localnet on this host's own bridges.
#pragma once

#include "core/deadline.hpp"
#include "hostnet/exposer.hpp"
#include "state/lease.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hostnet::exposer {

/// Requests that passed every check and are looked up, as leases without an id and an owner yet.
struct Prepared {
  std::vector<state::Lease> leases;
  std::vector<state::Bridge> bridges;
};

/// Everything of expose_all() that comes before the first change. Changes nothing itself.
/// @throws Error as Exposer::expose_all().
Prepared prepare(std::span<const ExposeRequest> requests, const std::string& engine, Deadline deadline);

/// Makes the native exposer, for the network namespace of the calling thread. @throws nothing that probe()
/// would say.
std::unique_ptr<Exposer> make_native(const ExposerOptions& options);

/// Whether the native path can work here: privilege and kernel. Changes nothing, loads nothing.
Probe probe_native();

}  // namespace hostnet::exposer
