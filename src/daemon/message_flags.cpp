// Reads the flag from sd-bus's message.
#include "daemon/message_flags.hpp"

#include "daemon/raw_bus.hpp"

#include <systemd/sd-bus.h>

namespace hostnet::daemon {

bool allows_interaction(const sdbus::Message& message) {
  return ::sd_bus_message_get_allow_interactive_authorization(raw_message(message)) > 0;
}

}  // namespace hostnet::daemon
