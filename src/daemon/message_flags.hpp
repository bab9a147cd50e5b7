// The flag by which a call's sender allows a password prompt. sdbus-c++ does not provide it.
#pragma once

#include "daemon/sdbus.hpp"

namespace hostnet::daemon {

/// Whether the message has ALLOW_INTERACTIVE_AUTHORIZATION (D-Bus specification, "Message Format").
bool allows_interaction(const sdbus::Message& message);

}  // namespace hostnet::daemon
