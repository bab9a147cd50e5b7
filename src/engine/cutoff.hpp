// When this process stops waiting for engines. For a program that was told to exit while its threads wait for
// an engine that may hang.
#pragma once

#include "core/deadline.hpp"

namespace hostnet::engine {

/// Ends every request of this process at `cutoff`, even if its own deadline is later. Requests in progress
/// time out within a second after it, later ones at it. Deadline::never() lifts it. Thread-safe.
void end_requests_at(Deadline cutoff) noexcept;

/// The earlier of the deadline and the cutoff.
Deadline before_cutoff(Deadline deadline) noexcept;

}  // namespace hostnet::engine
