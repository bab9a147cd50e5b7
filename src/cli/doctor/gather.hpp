// Finding out what doctor judges. Everything here only looks: nothing is created, no lock is taken for longer
// than it takes to see it, no module or table is loaded by asking for it, and no call to the engine lasts
// over two seconds.
#pragma once

#include "cli/command.hpp"
#include "cli/doctor/facts.hpp"
#include "hostnet/target.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli::doctor {

/// For this target (or, without one, for everything that is here) and these ports. @throws Error only for
/// what makes any look impossible, such as a process without descriptors left.
Facts gather(const std::optional<Target>& target, const std::vector<HostPort>& ports, const Globals& globals);

// The parts of it. System:
KernelFacts gather_kernel();
PrivilegeFacts gather_privilege();
BackendFacts gather_backend();
LockFacts gather_lock();
// Network:
EngineFacts gather_engine(const std::optional<Target>& target, const std::string& engine);
std::vector<BridgeFacts> gather_bridges(const std::optional<Target>& target, const EngineFacts& engine,
                                        const std::string& explicit_engine);
InputFacts gather_input(const std::vector<BridgeFacts>& bridges);
// Leases:
StateFacts gather_state(const std::string& runtime_dir);
RouteLocalnetFacts gather_route_localnet();
AliasFacts gather_alias(const Target& container, const EngineFacts& engine, const StateFacts& state,
                        const std::vector<BridgeFacts>& bridges);

/// The process that holds flock(2) on a file, by the text of /proc/locks (proc(5)). Pure.
std::optional<pid_t> lock_holder(std::string_view proc_locks, dev_t device, ino_t inode);
/// Whether the text of a kernel's modules.dep or modules.builtin has a module. Pure.
bool lists_module(std::string_view modules, std::string_view name);
/// Whether a capability is effective, by the text of /proc/PID/status (proc(5)). Pure.
bool has_effective(std::string_view proc_status, unsigned capability);
/// Where a program is that a shell would find, or that is in the sbin folders; empty when there is none.
std::string find_program(const std::string& name);

}  // namespace hostnet::cli::doctor
