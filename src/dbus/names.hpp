// The helper's names on the message bus, for both sides.
#pragma once

#include "hostnet/error.hpp"

#include <string_view>

namespace hostnet::dbus {

inline constexpr const char* kBusName = "io.github.tchostnet.HostNet1";
inline constexpr const char* kManagerPath = "/io/github/tchostnet/HostNet1";
inline constexpr const char* kLeasePaths = "/io/github/tchostnet/HostNet1/lease/";
inline constexpr const char* kManagerInterface = "io.github.tchostnet.HostNet1.Manager";
inline constexpr const char* kLeaseInterface = "io.github.tchostnet.HostNet1.Lease";

inline constexpr const char* kAccessDenied = "org.freedesktop.DBus.Error.AccessDenied";
inline constexpr const char* kInteractionRequired =
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
inline constexpr const char* kInvalidArgs = "org.freedesktop.DBus.Error.InvalidArgs";
/// The network changed while polkit was asked.
inline constexpr const char* kNetworkChanged = "io.github.tchostnet.HostNet1.Error.NetworkChanged";
inline constexpr const char* kLeaseNotFound = "io.github.tchostnet.HostNet1.Error.LeaseNotFound";

/// Reasons in LeaseReleased.
namespace reason {
inline constexpr const char* kReleased = "released";
inline constexpr const char* kRevoked = "revoked";
inline constexpr const char* kOwnerGone = "owner-gone";
inline constexpr const char* kExpired = "expired";
inline constexpr const char* kInterfaceGone = "interface-gone";
inline constexpr const char* kContainerGone = "container-gone";
inline constexpr const char* kListenerGone = "listener-gone";
/// Another user listens on a port that was exposed as the caller's own.
inline constexpr const char* kListenerChanged = "listener-changed";
inline constexpr const char* kDaemonStopping = "daemon-stopping";
inline constexpr const char* kFailed = "failed";
}  // namespace reason

/// The D-Bus name of an error from the helper. Two codes may share a name: D-Bus has fewer.
const char* error_name(Errc code) noexcept;
/// The code of a D-Bus error from the helper, for its callers; failure for an unknown name.
Errc error_code(std::string_view name) noexcept;

}  // namespace hostnet::dbus
