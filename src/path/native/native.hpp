// The native path: DNAT and route_localnet on this host's own bridges.
#pragma once

#include "core/deadline.hpp"
#include "firewall/traffic.hpp"
#include "hostnet/exposer.hpp"
#include "lease/snapshot.hpp"
#include "path/native/lease_store.hpp"
#include "path/path.hpp"

#include <cstdint>
#include <functional>
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

/// Looks for what would keep a lease from working or make it take traffic from another service: a chain of
/// the host's firewall that drops, somebody who listens on gateway:port, nobody who listens on the loopback.
/// Changes nothing.
/// @throws Error: firewall_blocked, conflict, not_listening when a listener is `required`.
void check_way(const state::Lease& lease, const std::string& bridge, bool require_listener);

/// How many packets and bytes each port of a lease has let in, in the order of its ports; forwards that it
/// shares with other leases are counted whole. @throws Error.
struct PortTraffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};
/// Of what firewall::read_traffic() has given, or gives now.
std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge,
                                    std::span<const firewall::ForwardTraffic> forwards);
std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge);

/// As Holder::Settings::on_end: has a program's callback called by a Notifier. Empty for an empty one.
/// @throws Error{failure} when the system gives no thread.
std::function<void(const Ended&)> by_notifier(const StateCallback& callback);

/// Makes the native exposer, for the network namespace of the calling thread. @throws nothing that probe()
/// would say.
std::unique_ptr<Exposer> make_native(const ExposerOptions& options);

/// Whether the native path can work here: privilege and kernel. Changes nothing, loads nothing.
Probe probe_native();

/// By which path a lease in the journal was made: only those that the helper made live by something else than
/// a process.
Path path_of(const state::Lease& lease) noexcept;

extern const PathDriver kNativePath;

}  // namespace hostnet::exposer
