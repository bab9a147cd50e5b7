// Our end of the hand-off: receives the descriptors, and believes nothing about them.
//
//   event                                               then
//   a connection from another user                      closed; the next one is awaited
//   nothing for kFirstMessage, no message, one of       closed with what came in it; the next one is awaited
//   another size, or a wrong token
//   the right token                                     no other connection is accepted any more
//   after that: an error of the program's               that error
//   after that: another message than the next one       failure; everything that came is closed
//   expected, no descriptor or more than one, or a
//   descriptor of another kind
//   the program has ended and nobody is connected       no_path
//   the deadline                                        timed_out
//
// What a descriptor is, the kernel says: a TCP or UDP socket over IPv4, bound to the address and port that
// were asked for (with a port map, to any port), not connected, not listening, and not in our own network
// namespace; a netlink socket for nf_tables, not in that either; a regular file with one name, open for
// writing, that is not this machine's hosts file. The token shows that the peer got it from the engine, in
// the environment of the container that we asked for; the socket is in a folder of ours alone.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "path/relay/bound_socket.hpp"
#include "path/relay/container_net.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hostnet::relay {

/// What the program was asked for.
struct ExpectedHandoff {
  std::string container;  ///< The target's name, for messages.
  std::string token;      ///< kTokenDigits digits.
  uid_t root = 0;         ///< Who root of its user namespace is on this machine; it may connect, as may root.
  bool hosts = false;
  bool map = false;  ///< A port map.
  Ipv4 address;
  std::vector<Door> ports;
};

struct HandedOver {
  Fd hosts;  ///< The target's hosts file, if it was asked for.
  OpenDoors doors;
};

/// `listener`: a listening SOCK_SEQPACKET socket. `has_ended` says whether the program has ended; it is asked
/// while nothing comes. @throws Error: conflict that names a port in use, no_path, timed_out, failure.
HandedOver receive_handoff(int listener, const ExpectedHandoff& expected, Deadline deadline,
                           const std::function<bool()>& has_ended);

}  // namespace hostnet::relay
