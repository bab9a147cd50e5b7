// sd-bus's connection and messages under sdbus-c++'s, for functions that sdbus-c++ does not provide.
#pragma once

#include "daemon/sdbus.hpp"

struct sd_bus;
struct sd_bus_message;

namespace hostnet::daemon {

/// Valid as long as the message.
sd_bus_message* raw_message(const sdbus::Message& message);

/// Valid as long as the connection. @throws sdbus::Error.
sd_bus* raw_bus(sdbus::IConnection& connection);

/// Whether sd-bus considers the connection open. It no longer does after a read or write found the peer gone.
bool is_open(sd_bus* bus) noexcept;

}  // namespace hostnet::daemon
