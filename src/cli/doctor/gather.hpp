// Collects the facts that doctor judges. Read-only: creates nothing, takes no lock that others wait for,
// loads no module or table. Each call to the engine has a limit: 1.2 s (what it says of itself), 2 s
// (container, hosts file, request check) or 5 s (ping, version, networks, resolving a target). What waits for
// different things is read in parallel.
#pragma once

#include "cli/command.hpp"
#include "cli/doctor/facts.hpp"
#include "hostnet/target.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli::doctor {

/// Collects the facts for this target (without one: for all bridges) and these ports. @throws Error only if
/// nothing can be read at all, such as in a process without free descriptors.
Facts gather(const std::optional<Target>& target, const std::vector<HostPort>& ports, const Globals& globals);

// Parts of gather(). System:
KernelFacts gather_kernel();
PrivilegeFacts gather_privilege();
BackendFacts gather_backend();
LockFacts gather_lock();
// Network:
EngineFacts gather_engine(const std::optional<Target>& target, const std::string& engine,
                          bool with_version = true);
std::vector<BridgeFacts> gather_bridges(const std::optional<Target>& target, const EngineFacts& engine,
                                        const std::string& explicit_engine);
InputFacts gather_input(const std::vector<BridgeFacts>& bridges, const std::vector<HostPort>& ports);
/// The listeners on that port, and, as root, those in other network namespaces if none here is reached.
ListenerFacts gather_listener(const HostPort& port, const EngineFacts& engine,
                              const std::optional<Target>& target,
                              exposer::Origin origin = exposer::Origin::bridge);
// Leases:
StateFacts gather_state(const std::string& runtime_dir);
/// Leases that the journal does not have: of paths with records, and the helper's if this is not root.
std::vector<std::string> gather_other_leases(const std::string& runtime_dir);
RouteLocalnetFacts gather_route_localnet();
AliasFacts gather_alias(const Target& container, const EngineFacts& engine, const StateFacts& state,
                        const std::vector<BridgeFacts>& bridges);

/// The process that holds flock(2) on a file, from the text of /proc/locks (proc(5)). Pure.
std::optional<pid_t> lock_holder(std::string_view proc_locks, dev_t device, ino_t inode);
/// Whether the text of a kernel's modules.dep or modules.builtin lists a module. Pure.
bool lists_module(std::string_view modules, std::string_view name);
/// Whether a capability is effective, from the text of /proc/PID/status (proc(5)). Pure.
bool has_effective(std::string_view proc_status, unsigned capability);
/// Path of a program in $PATH or in the standard bin and sbin folders; empty if there is none.
std::string find_program(const std::string& name);

}  // namespace hostnet::cli::doctor
