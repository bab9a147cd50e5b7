// What the program of the hand-off (src/handoff) and this process say to each other.
//
//   the program's            meaning
//   argument 1               the Unix socket to connect to
//   argument 2               the hosts file to open and hand over; "-": none
//   argument 3               the IPv4 address to bind
//   argument 4               the lease's id, for a port map (port_map.hpp); "-": none
//   arguments 5 …            the ports, 1 to 65535, each with kUdpSuffix for UDP; none only with a hosts file
//   $TC_HOSTNET_TOKEN        kTokenDigits hexadecimal digits, once for this one run
//
// It sends one HandoffMessage for each descriptor, in this order: the hosts file, the netlink socket of the
// port map, then the ports in their order. A message without an error carries exactly one descriptor
// (SCM_RIGHTS); the first one with an error is the last, but for the port map's: then the ports are bound
// themselves.
#pragma once

#include "path/relay/bound_socket.hpp"

#include <cstdint>

namespace hostnet::relay {

inline constexpr unsigned kTokenDigits = 64;  // 256 bits
inline constexpr const char* kTokenVariable = "TC_HOSTNET_TOKEN";
inline constexpr const char* kNoHosts = "-";
inline constexpr const char* kNoMap = "-";
inline constexpr const char* kUdpSuffix = "/udp";

/// One packet of a SOCK_SEQPACKET socket; both ends run on this machine.
struct HandoffMessage {
  char token[kTokenDigits] = {};
  std::uint16_t port = 0;  ///< 0: the hosts file, or the port map.
  Step step = Step::make;  ///< Where it failed, if `error` is not 0; of the port map, always Step::map.
  std::uint8_t reserved = 0;
  std::int32_t error = 0;  ///< An errno.
};
static_assert(sizeof(HandoffMessage) == kTokenDigits + 8, "no padding, whose bytes would be the stack's");

}  // namespace hostnet::relay
