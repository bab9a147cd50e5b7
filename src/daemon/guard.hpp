// The one guard between C and our code.
//
// sd-bus and sdbus-c++ call our handlers from C frames, through which no exception may pass: it would leave
// sd-bus with a message half handled, or end as an error of the loop that says nothing of its cause. A
// handler that owes nobody an answer runs inside guarded(), one whose caller waits inside answered().
#pragma once

#include "core/log.hpp"
#include "daemon/bus_error.hpp"

#include <exception>
#include <utility>

namespace hostnet::daemon {

/// Runs it; what it throws is logged, with the name of the handler, and goes no further.
template <class Function>
void guarded(const char* handler, Function&& function) noexcept {
  try {
    std::forward<Function>(function)();
  } catch (const std::exception& error) {
    log::error("{}: {}", handler, error.what());
  } catch (...) {
    log::error("{}: an exception of an unknown type", handler);
  }
}

/// Runs it and returns its result; whatever it throws leaves as an sdbus::Error, which the binding catches
/// and puts into the reply. @throws sdbus::Error alone.
template <class Function>
auto answered(const char* handler, Function&& function) {
  try {
    return std::forward<Function>(function)();
  } catch (...) {
    const auto error = bus_error(std::current_exception());
    log::error("{}: {}", handler, error.getMessage());
    throw error;
  }
}

}  // namespace hostnet::daemon
