// Removes what a dead process left: containers and networks by their labels, leases by the state folder.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Removes the containers and networks of one test run. Returns the number removed.
/// @throws Error naming each one that it could not remove.
std::size_t reap_test_run(const engine::Address& engine, const std::string& test_run, Deadline deadline);

/// Releases the leases of all dead owners, on the native and the ssh path. Failures go to the log.
void reap_leases(const std::string& runtime_dir, Deadline deadline) noexcept;

/// Removes the containers and networks of test runs whose process has died. Failures go to the log.
void reap_dead_test_runs(const engine::Address& engine, Deadline deadline) noexcept;

}  // namespace hostnet::container
