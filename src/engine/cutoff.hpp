// When this process stops waiting for engines: for a program that was told to end, and whose threads may wait
// for one that hangs.
#pragma once

#include "core/deadline.hpp"

namespace hostnet::engine {

/// No request of this process goes on past `cutoff`, whatever its own deadline is: those that are under way
/// time out within a second of it, those that begin later at it. Deadline::never() lifts it. Thread-safe.
void end_requests_at(Deadline cutoff) noexcept;

/// The deadline, or the cutoff where that is earlier.
Deadline before_cutoff(Deadline deadline) noexcept;

}  // namespace hostnet::engine
