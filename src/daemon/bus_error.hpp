// Errors and ends of leases, in the words of the bus.
#pragma once

#include "daemon/bouncer.hpp"
#include "path/native/lease_store.hpp"

#include <sdbus-c++/Error.h>

#include <exception>

namespace hostnet::daemon {

/// Of whatever was thrown: an Error by its code, an sdbus::Error as it is, all else as Failed.
sdbus::Error bus_error(const std::exception_ptr& thrown);

/// Of an answer other than yes.
sdbus::Error refusal(Answer answer, Action action);

/// The reason in LeaseReleased.
const char* reason_of(exposer::Cause cause) noexcept;

}  // namespace hostnet::daemon
