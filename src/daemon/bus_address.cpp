// Removes the bus's GUID from its address.
#include "daemon/bus_address.hpp"

#include "core/strings.hpp"

#include <cstdlib>

namespace hostnet::daemon {
namespace {

constexpr const char* kVariable = "DBUS_SYSTEM_BUS_ADDRESS";

// "unix:path=/run/x,guid=1f": a transport, a colon, and pairs between commas.
std::string one_without_guid(std::string_view address) {
  const auto colon = address.find(':');
  if (colon == std::string_view::npos) return std::string(address);
  std::string kept(address.substr(0, colon + 1));
  for (const auto pair : split(address.substr(colon + 1), ',')) {
    if (pair.starts_with("guid=")) continue;
    if (!kept.ends_with(':')) kept += ',';
    kept += pair;
  }
  return kept;
}

}  // namespace

std::string without_guid(std::string_view addresses) {
  std::string kept;
  for (const auto address : split(addresses, ';')) {
    if (!kept.empty()) kept += ';';
    kept += one_without_guid(address);
  }
  return kept;
}

void forget_bus_guid() {
  if (const char* const address = std::getenv(kVariable); address != nullptr)
    ::setenv(kVariable, without_guid(address).c_str(), 1);
}

}  // namespace hostnet::daemon
