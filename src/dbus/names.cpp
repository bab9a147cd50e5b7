// Maps library errors to D-Bus errors and back, in one table.
#include "dbus/names.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hostnet::dbus {
namespace {

// The first row of a code is the name that the helper sends. The first row of a name is the code for callers.
constexpr std::array kErrors{
    std::pair{Errc::not_authorised, kAccessDenied},
    std::pair{Errc::interaction_required, kInteractionRequired},
    std::pair{Errc::invalid_argument, kInvalidArgs},
    std::pair{Errc::not_found, "io.github.tchostnet.HostNet1.Error.NetworkInvalid"},
    std::pair{Errc::failure, kNetworkChanged},
    std::pair{Errc::not_listening, "io.github.tchostnet.HostNet1.Error.PortNotListening"},
    std::pair{Errc::conflict, "io.github.tchostnet.HostNet1.Error.PortInUse"},
    std::pair{Errc::quota_exceeded, "io.github.tchostnet.HostNet1.Error.QuotaExceeded"},
    std::pair{Errc::not_found, kLeaseNotFound},
    std::pair{Errc::no_path, "io.github.tchostnet.HostNet1.Error.BackendUnavailable"},
    std::pair{Errc::firewall_blocked, "io.github.tchostnet.HostNet1.Error.FirewallBlocked"},
    std::pair{Errc::timed_out, "org.freedesktop.DBus.Error.Timeout"},
    std::pair{Errc::timed_out, "org.freedesktop.DBus.Error.NoReply"},
    std::pair{Errc::not_found, "org.freedesktop.DBus.Error.UnknownObject"},
    std::pair{Errc::no_path, "org.freedesktop.DBus.Error.ServiceUnknown"},
    std::pair{Errc::no_path, "org.freedesktop.DBus.Error.NameHasNoOwner"},
};

}  // namespace

const char* error_name(Errc code) noexcept {
  // A failure without a name of its own is "Failed". The helper throws NetworkChanged by name.
  if (code == Errc::failure) return "org.freedesktop.DBus.Error.Failed";
  const auto* const found =
      std::ranges::find_if(kErrors, [&](const auto& entry) { return entry.first == code; });
  return found == kErrors.end() ? "org.freedesktop.DBus.Error.Failed" : found->second;
}

Errc error_code(std::string_view name) noexcept {
  const auto* const found =
      std::ranges::find_if(kErrors, [&](const auto& entry) { return entry.second == name; });
  return found == kErrors.end() ? Errc::failure : found->first;
}

}  // namespace hostnet::dbus
