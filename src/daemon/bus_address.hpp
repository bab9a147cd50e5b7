// The address of the system bus as it stays good when the bus is started anew.
#pragma once

#include <string>
#include <string_view>

namespace hostnet::daemon {

/// The address without "guid=…". dbus-daemon adds its identity to the address that it gives to services that
/// it starts; a bus that has been started again has another, and libsystemd would hang up on it. (D-Bus
/// specification, "Server Addresses".) Pure.
std::string without_guid(std::string_view addresses);

/// Does it to DBUS_SYSTEM_BUS_ADDRESS. To be called before there are threads.
void forget_bus_guid();

}  // namespace hostnet::daemon
