// The one guard between C code and ours.
//
// sd-bus and sdbus-c++ call our handlers from C frames, through which no exception may pass: it would leave
// sd-bus with a half-handled message, or surface as a loop error without its cause. A handler without a
// waiting caller runs inside guarded(), one whose caller waits inside answered().
#pragma once

#include "core/log.hpp"
#include "daemon/bus_error.hpp"

#include <exception>
#include <utility>

namespace hostnet::daemon {

/// Runs the function. Logs what it throws, with the handler's name, and swallows it.
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

/// Runs the function and returns its result. Rethrows any exception as sdbus::Error, which the binding
/// catches and puts into the reply. @throws sdbus::Error only.
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
