// Judges the facts for a user who wants to expose a port. Pure.
#pragma once

#include "cli/doctor/check.hpp"
#include "cli/doctor/facts.hpp"

#include <vector>

namespace hostnet::cli::doctor {

/// All checks. Later checks build on earlier ones.
std::vector<Check> judge(const Facts& facts);

// System:
Check judge_kernel(const KernelFacts& facts);
/// `path`: the one that `expose` would use. Without root, another path than native may work.
Check judge_privilege(const PrivilegeFacts& facts, const exposer::Choice& path);
Check judge_backend(const BackendFacts& facts);
Check judge_lock(const LockFacts& facts);
Check judge_path(const exposer::Choice& facts);
// Network:
Check judge_engine(const EngineFacts& facts);
std::vector<Check> judge_bridges(const std::vector<BridgeFacts>& facts, const EngineFacts& engine);
std::vector<Check> judge_input(const InputFacts& facts);
Check judge_listener(const ListenerFacts& facts);
/// "docker" or "podman": the command of the engine that answered.
const char* engine_command(bool podman) noexcept;
// Leases:
Check judge_state(const StateFacts& facts);
std::vector<Check> judge_route_localnet(const RouteLocalnetFacts& facts);
Check judge_alias(const AliasFacts& facts);
/// nullopt if another check already reports the refusal.
std::optional<Check> judge_request(const RequestFacts& facts, const std::vector<Check>& others);

/// An unseen fact, with the error's own hint or the advice to run doctor as root.
Check unseen(std::string name, std::string_view what, const Error& error);

}  // namespace hostnet::cli::doctor
