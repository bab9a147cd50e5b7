// The native path: DNAT and route_localnet on this host's own bridges.
#pragma once

#include "core/deadline.hpp"
#include "firewall/traffic.hpp"
#include "hostnet/exposer.hpp"
#include "lease/checks.hpp"
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

/// Checked and resolved requests, as leases that still lack an id and an owner.
struct Prepared {
  std::vector<state::Lease> leases;
  std::vector<state::Bridge> bridges;
};

/// All of expose_all() before its first change. Changes nothing. `engine` and `runtime_dir` as in ExposerOptions.
/// @throws Error as Exposer::expose_all().
Prepared prepare(std::span<const ExposeRequest> requests, const std::string& engine, Deadline deadline,
                 Caller caller = Caller::command, const std::string& runtime_dir = {});

/// Checks for what would block a lease or divert another service's traffic: a dropping chain of the host's
/// firewall, a listener on gateway:port, no listener on the loopback. Changes nothing.
/// @throws Error: firewall_blocked, conflict, not_listening if a listener is required.
void check_way(const state::Lease& lease, const std::string& bridge, bool require_listener);

/// Packets and bytes that one port of a lease has let in. A forward shared with other leases counts in full
/// for each.
struct PortTraffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};
/// The traffic of each port, in the order of the lease's ports; from the given counters, or from
/// firewall::read_traffic(). @throws Error.
std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge,
                                    std::span<const firewall::ForwardTraffic> forwards);
std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge);

/// A Holder::Settings::on_end that calls a program's callback through a Notifier. Empty for an empty
/// callback.
/// @throws Error{failure} if the system gives no thread.
std::function<void(const Ended&)> by_notifier(const StateCallback& callback);

/// Makes the native exposer, for the calling thread's network namespace. Does not throw the reasons that
/// probe() reports.
std::unique_ptr<Exposer> make_native(const ExposerOptions& options);

/// Whether the native path can work here: privilege and kernel. Changes nothing, loads nothing.
Probe probe_native();

/// The path that made a lease in the journal: any lifetime other than process means the helper.
Path path_of(const state::Lease& lease) noexcept;

extern const PathDriver kNativePath;

}  // namespace hostnet::exposer
