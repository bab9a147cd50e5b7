// Clearing away what a process has left behind, by the labels on it and by what the state folder knows.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Removes the containers and networks of one session. Returns how many there were that are gone now.
/// @throws Error naming what could not be removed.
std::size_t reap_test_run(const engine::Address& engine, const std::string& test_run, Deadline deadline);

/// Finishes the leases of dead owners, native ones and those by ssh, whoever they were. Failures go to the
/// log.
void reap_leases(const std::string& runtime_dir, Deadline deadline) noexcept;

/// Removes the containers and networks of sessions whose process has died. Failures go to the log.
void reap_dead_test_runs(const engine::Address& engine, Deadline deadline) noexcept;

}  // namespace hostnet::container
