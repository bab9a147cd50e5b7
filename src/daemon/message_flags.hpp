// The flag of a call by which its sender allows that the user is asked for a password, which sdbus-c++ 1.2
// has no words for.
#pragma once

#include <sdbus-c++/Message.h>

namespace hostnet::daemon {

/// Whether the message has ALLOW_INTERACTIVE_AUTHORIZATION (D-Bus specification, "Message Format").
bool allows_interaction(const sdbus::Message& message);

}  // namespace hostnet::daemon
