// The address of a HostPort: which texts name an address of this host's loopback, and why others are refused.
#pragma once

#include "core/ip.hpp"
#include "hostnet/port.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hostnet {

inline constexpr Ipv4 kLoopback{0x7f000001};  ///< 127.0.0.1, the address of a service that names none.

/// "127.0.0.53:53:5353" as "127.0.0.53" and "53:5353".
struct AddressedText {
  std::string address;  ///< As in HostPort: empty for 127.0.0.1 and for a text without an address.
  std::string_view rest;
};

/// Takes the address from the front of a port specification. `whole` is named in errors.
/// @throws Error{invalid_argument} for what is not an address of the loopback.
AddressedText take_address(std::string_view text, std::string_view whole);

/// As HostPort::address holds it. @throws Error{invalid_argument}, which says why and what to give instead.
std::string loopback_address(std::string_view text, std::string_view whole);

/// The service's IPv4 address; nullopt for [::1]. For a normalised port that is no socket.
std::optional<Ipv4> ipv4_of(const HostPort& port);

}  // namespace hostnet
