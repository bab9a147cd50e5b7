// When this process stops waiting for engines. For a program that was told to exit while its threads wait for
// an engine that may hang, or for a pull.
#pragma once

#include "core/deadline.hpp"

#include <chrono>
#include <cstdint>

namespace hostnet::engine {

/// Ends every request of this process at `cutoff`, even if its own deadline is later. Requests in progress
/// time out within a second after it, later ones at it. Deadline::never() lifts it. Thread-safe.
void end_requests_at(Deadline cutoff) noexcept;

/// The earlier of the deadline and the cutoff.
Deadline before_cutoff(Deadline deadline) noexcept;

/// For a program that was told to exit while it sets up: from now on requests time out, except those of an Undoing.
/// Requests in progress end within a second; one that makes something has three, so that its result is known, and can
/// be undone. Thread-safe.
void stop_requests() noexcept;
/// Lifts that.
void resume_requests() noexcept;

/// How long ago that was; negative before it, and in a thread that undoes. Thread-safe.
std::chrono::milliseconds stopped_for() noexcept;

/// While it exists, the requests of its thread go on after stop_requests(): they remove what was made.
class Undoing {
 public:
  Undoing() noexcept;
  Undoing(const Undoing&) = delete;
  Undoing& operator=(const Undoing&) = delete;
  ~Undoing();
};

/// Whether any thread has an Undoing. Thread-safe.
bool is_undoing() noexcept;

/// Counts the answers that engines have given to this process, to see whether they still answer. Thread-safe.
void count_answer() noexcept;
std::uint64_t answers() noexcept;

}  // namespace hostnet::engine
