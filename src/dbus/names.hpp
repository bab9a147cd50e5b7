// The names by which the helper is known on the message bus, for both sides.
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
/// The network was another one after the user had been asked than before.
inline constexpr const char* kNetworkChanged = "io.github.tchostnet.HostNet1.Error.NetworkChanged";
inline constexpr const char* kLeaseNotFound = "io.github.tchostnet.HostNet1.Error.LeaseNotFound";

/// Why a lease has ended, in LeaseReleased.
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

/// The name of the error that the helper answers with. Two codes may share a name: the bus has fewer.
const char* error_name(Errc code) noexcept;
/// The code for an error's name, as a caller of the helper sees it; failure for one that is not known.
Errc error_code(std::string_view name) noexcept;

}  // namespace hostnet::dbus
