// Tells that an engine lets its caller wait, before the deadline does: a hung engine looks like a hung command.
#pragma once

#include "core/deadline.hpp"

#include <chrono>
#include <string>

namespace hostnet::engine {

/// An answer that takes longer is told.
inline constexpr std::chrono::seconds kSlow{3};

/// "the engine at /run/docker.sock has not answered for 3 s; waiting up to 27 s more". `has_begun`: a part of the
/// answer is here. Pure.
std::string slow_engine_line(const std::string& engine, bool has_begun, Deadline deadline);

/// Logs that line as a warning, at most once in ten minutes in a process, whatever the engine. Thread-safe.
void tell_slow_engine(const std::string& engine, bool has_begun, Deadline deadline) noexcept;

}  // namespace hostnet::engine
