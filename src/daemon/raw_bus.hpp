// sd-bus's connection and messages under sdbus-c++'s, for what sdbus-c++ 1.2 has no words for.
#pragma once

#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/Message.h>

struct sd_bus;
struct sd_bus_message;

namespace hostnet::daemon {

/// Valid as long as the message.
sd_bus_message* raw_message(const sdbus::Message& message);

/// Valid as long as the connection. @throws sdbus::Error.
sd_bus* raw_bus(sdbus::IConnection& connection);

/// Whether the connection stands, as sd-bus knows it: it does not once a read or a write has said that the
/// peer is gone.
bool is_open(sd_bus* bus) noexcept;

}  // namespace hostnet::daemon
