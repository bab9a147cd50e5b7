// Reaching sd-bus's message under sdbus-c++'s.
#include "daemon/message_flags.hpp"

#include <systemd/sd-bus.h>

namespace hostnet::daemon {
namespace {

// A pointer to the protected member, which only a derived class may form.
struct Opened : sdbus::Message {
  static constexpr auto kMessage = &Opened::msg_;
};

}  // namespace

bool allows_interaction(const sdbus::Message& message) {
  return sd_bus_message_get_allow_interactive_authorization(
             static_cast<sd_bus_message*>(message.*Opened::kMessage)) > 0;
}

}  // namespace hostnet::daemon
