// The reaper: a process that cleans up after this one if it is killed.
//
// Other libraries of the family start a container for this ("Ryuk"), whose image they may have to pull. This
// library starts a small program, tc-hostnet-reaper, which waits for this process to end and then removes by
// label what it finds. Its properties, and why:
//
//   separate program         after fork() in a threaded program, code may not take locks; the cleanup
//                            (engine API, JSON, netlink) takes many
//   calls setsid(2)          a signal to the terminal's foreground processes does not kill it
//   not a child of ours      wait(2) in this process finds only its own children
//   none of our descriptors  a reader that waits for the end of our output does not wait for the reaper
//
//   limit                       value
//   start of the reaper         10 s; a failure is a warning
//   search for dead test runs   5 s, at the first use of each engine
//
// If the reaper is not installed or dies too, the next process that uses the library removes the leftovers.
#pragma once

#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Ensures that everything created on this engine in this test run is removed when the process ends. Only the
/// first call per engine acts; call it before the first creation. A reaper that does not start is a warning
/// in the log. $TESTCONTAINERS_RYUK_DISABLED=true switches the reaper off. Thread-safe.
void guard_test_run(const engine::Address& engine, const std::string& runtime_dir) noexcept;

/// Path of the reaper: $TC_HOSTNET_REAPER, else the installed path, else the same place relative to the
/// library, for an installed tree that was moved.
std::string reaper_program();

}  // namespace hostnet::container
