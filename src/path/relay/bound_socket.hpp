// Makes the socket that a relay listens with. Only system calls, in a header: the child that entered a
// container's network namespace and the program of the hand-off (src/handoff), which has no C++ runtime, both
// use it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace hostnet::relay {

/// The step at which a socket failed.
enum class Step : std::uint8_t { enter_user, enter_net, make, bind, listen, hosts, device, map };

/// What to bind.
struct Door {
  Door(std::uint16_t number, int of_type = SOCK_STREAM) noexcept : port(number), type(of_type) {}
  std::uint16_t port;
  int type;  ///< SOCK_STREAM or SOCK_DGRAM.
};

/// The outcome for one port; without an error, there is a socket.
struct Answer {
  Step step = Step::make;
  int error = 0;
};

/// `address` in network byte order.
inline sockaddr_in socket_address(in_addr_t address, std::uint16_t port) noexcept {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = address;
  return out;
}

/// `in`: the address, in network byte order. A TCP socket is bound without SO_REUSEADDR first: with it, two
/// sockets that do not listen could share the port. Where connections of an earlier lease are still closing,
/// only a bind with it succeeds. listen(2) then fails if a socket there listens. With a device the socket
/// takes only what comes in by that, which needs no privilege since Linux 5.7. Without `may_share`, a port is in use
/// as long as any socket has it, also one of ours that is closed for the moment.
inline Answer make_bound_socket(Door door, in_addr_t in, int& socket, const char* device = nullptr,
                                bool may_share = true) noexcept {
  const auto address = socket_address(in, door.port);
  socket = ::socket(AF_INET, door.type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return {Step::make, errno};
  const int on = 1;
  if (device != nullptr && ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, device,
                                        static_cast<socklen_t>(std::strlen(device))) != 0)
    return {Step::device, errno};
  const auto* const where = reinterpret_cast<const sockaddr*>(&address);
  if (door.type == SOCK_DGRAM) {
    if (::bind(socket, where, sizeof address) != 0) return {Step::bind, errno};
    return {};
  }
  const bool alone = ::bind(socket, where, sizeof address) == 0;
  if (!alone && (errno != EADDRINUSE || !may_share)) return {Step::bind, errno};
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!alone && ::bind(socket, where, sizeof address) != 0) return {Step::bind, errno};
  if (::listen(socket, 1) != 0) return {Step::listen, errno};
  ::shutdown(socket, SHUT_RD);
  return {};
}

}  // namespace hostnet::relay
