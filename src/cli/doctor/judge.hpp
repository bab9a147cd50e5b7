// What the facts mean for somebody who wants a port exposed. Pure.
#pragma once

#include "cli/doctor/check.hpp"
#include "cli/doctor/facts.hpp"

#include <vector>

namespace hostnet::cli::doctor {

/// Every check, in the order in which they build on one another.
std::vector<Check> judge(const Facts& facts);

// System:
Check judge_kernel(const KernelFacts& facts);
/// `path`: what `expose` would take; without root another path may serve.
Check judge_privilege(const PrivilegeFacts& facts, const exposer::Choice& path);
Check judge_backend(const BackendFacts& facts);
Check judge_lock(const LockFacts& facts);
Check judge_path(const exposer::Choice& facts);
// Network:
Check judge_engine(const EngineFacts& facts);
std::vector<Check> judge_bridges(const std::vector<BridgeFacts>& facts, const EngineFacts& engine);
std::vector<Check> judge_input(const InputFacts& facts);
Check judge_listener(const ListenerFacts& facts);
// Leases:
Check judge_state(const StateFacts& facts);
std::vector<Check> judge_route_localnet(const RouteLocalnetFacts& facts);
Check judge_alias(const AliasFacts& facts);
/// Only what no other check has told already.
std::optional<Check> judge_request(const RequestFacts& facts, const std::vector<Check>& others);

/// For what could not be seen: a warning with the error's own hint, or to look again as root.
Check unseen(std::string name, std::string_view what, const Error& error);

}  // namespace hostnet::cli::doctor
