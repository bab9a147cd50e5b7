// Gets the bus from a message, which refers to it.
#include "daemon/raw_bus.hpp"

#include <systemd/sd-bus.h>

namespace hostnet::daemon {
namespace {

// A pointer to the protected member; only a derived class may form it.
struct Opened : sdbus::Message {
  static constexpr auto kMessage = &Opened::msg_;
};

}  // namespace

sd_bus_message* raw_message(const sdbus::Message& message) {
  return static_cast<sd_bus_message*>(message.*Opened::kMessage);
}

sd_bus* raw_bus(sdbus::IConnection& connection) {
  const auto proxy = make_proxy(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus");
  return ::sd_bus_message_get_bus(
      raw_message(proxy->createMethodCall(InterfaceName("org.freedesktop.DBus.Peer"), MemberName("Ping"))));
}

bool is_open(sd_bus* bus) noexcept { return ::sd_bus_is_open(bus) > 0; }

}  // namespace hostnet::daemon
