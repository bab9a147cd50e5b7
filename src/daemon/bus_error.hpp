// Errors and lease ends as D-Bus names.
#pragma once

#include "daemon/bouncer.hpp"
#include "daemon/sdbus.hpp"
#include "path/native/lease_store.hpp"

#include <exception>
#include <string>

namespace hostnet::daemon {

/// An Error maps by its code, an sdbus::Error stays as it is, anything else becomes Failed.
sdbus::Error bus_error(const std::exception_ptr& thrown);

/// The error for an answer other than yes. `why` as in Ruling.
sdbus::Error refusal(Answer answer, Action action, const std::string& why);

/// The reason for LeaseReleased.
const char* reason_of(exposer::Cause cause) noexcept;

}  // namespace hostnet::daemon
