// Connects to a service of this host.
#include "path/ssh/service.hpp"

#include "core/loopback.hpp"
#include "core/unix_address.hpp"
#include "hostnet/error.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace hostnet::ssh {
namespace {

// For TCP a non-blocking connect() never reports success, although on the loopback the handshake is complete
// when it returns: the second call fetches the result.
Dial connect_to(int family, const sockaddr* address, socklen_t length) {
  Fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    if (errno == EAFNOSUPPORT) return {};
    throw Error::from_errno("socket", errno);
  }
  if (family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  int code = ::connect(socket.get(), address, length);
  if (code != 0 && errno == EINPROGRESS) code = ::connect(socket.get(), address, length);
  if (code == 0 || errno == EISCONN) return {.outcome = Dialled::connected, .socket = std::move(socket)};
  // A Unix socket with a full queue (EAGAIN) has no event to wait for: refuse that connection.
  if (errno == EALREADY || errno == EINPROGRESS)
    return {.outcome = Dialled::pending, .socket = std::move(socket)};
  return {};
}

Dial dial_ipv4(Ipv4 address, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = address.network();
  return connect_to(AF_INET, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
}

Dial dial_port(const Service& service) {
  const auto v4 = service.address.empty() ? kLoopback : Ipv4::parse(service.address);
  if (v4) {
    auto dialled = dial_ipv4(*v4, service.port);
    if (dialled.outcome != Dialled::refused || !service.address.empty()) return dialled;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(service.port);
  v6.sin6_addr = in6addr_loopback;
  return connect_to(AF_INET6, reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

}  // namespace

Dial dial(const Service& service) {
  if (service.port != 0) return dial_port(service);
  const auto local = unix_address(service.path);
  return local ? connect_to(AF_UNIX, as_sockaddr(*local), sizeof *local) : Dial{};
}

int pending_error(int socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace hostnet::ssh
