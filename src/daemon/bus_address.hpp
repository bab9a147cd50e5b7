// The system bus's address in a form that stays valid when the bus restarts.
#pragma once

#include <string>
#include <string_view>

namespace hostnet::daemon {

/// The address without "guid=…". dbus-daemon adds its GUID to the address that it passes to services that it
/// starts. A restarted bus has another GUID, and libsystemd would refuse it. (D-Bus specification, "Server
/// Addresses".) Pure.
std::string without_guid(std::string_view addresses);

/// Applies without_guid() to DBUS_SYSTEM_BUS_ADDRESS. Call before any thread starts.
void forget_bus_guid();

}  // namespace hostnet::daemon
