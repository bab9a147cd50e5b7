// The process that clears away after this one, should it be killed.
//
// Somebody must be left to do that. Another library of the family starts a container of its own for it
// ("Ryuk"), whose image may have to be pulled. Here it is a small program, tc-hostnet-reaper, that waits for
// this process to end and then removes by label what it finds. It is a program of its own, found where it was
// installed, and not a fork of this one: after a fork in a program with threads nothing may be called that
// takes a lock, and what has to be done (the engine's API, JSON, netlink) takes many. It starts a session of
// its own, so that what kills the terminal's foreground processes spares it, is no child of this process,
// whose wait(2) shall find its own children only, and holds none of its descriptors, so that whoever waits
// for the end of its output does not wait for it.
//
// Where it is not installed, or dies too, what was left is removed by the next process that uses the library.
#pragma once

#include "engine/client.hpp"

#include <string>

namespace hostnet::container {

/// Sees to it that everything made on this engine in this session goes when the process does. Does something
/// at the first call for an engine; to be called before anything is made. A reaper that cannot be started is
/// a warning in the log. $TESTCONTAINERS_RYUK_DISABLED=true switches it off. Thread-safe.
void guard_test_run(const engine::Address& engine, const std::string& runtime_dir) noexcept;

/// Where it is: $TC_HOSTNET_REAPER, else the place of installation, also where that was moved along with the
/// library.
std::string reaper_program();

}  // namespace hostnet::container
