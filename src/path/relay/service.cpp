// Connects to a service of this host.
#include "path/relay/service.hpp"

#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "core/unix_address.hpp"
#include "hostnet/error.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace hostnet::relay {
namespace {

template <class Socket>
Address address_from(const Socket& socket) {
  Address out;
  static_assert(sizeof socket <= sizeof out.storage);
  std::memcpy(&out.storage, &socket, sizeof socket);
  out.length = sizeof socket;
  return out;
}

[[noreturn]] void no_address(std::string_view text) {
  throw Error(Errc::invalid_argument, fmt::format("{} is no address of a service", quote(text)));
}

// For TCP a non-blocking connect() never reports success, although on the loopback the handshake is complete
// when it returns: the second call fetches the result.
Dial connect_to(const Address& address) noexcept {
  Fd socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    const bool scarce = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    return {.outcome = scarce ? Dialled::later : Dialled::refused, .socket = {}};
  }
  if (address.family() != AF_UNIX) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  }
  int code = ::connect(socket.get(), address.get(), address.length);
  if (code != 0 && errno == EINPROGRESS) code = ::connect(socket.get(), address.get(), address.length);
  if (code == 0 || errno == EISCONN) return {.outcome = Dialled::connected, .socket = std::move(socket)};
  if (errno == EALREADY || errno == EINPROGRESS)
    return {.outcome = Dialled::pending, .socket = std::move(socket)};
  // EAGAIN of a Unix socket: its queue is full, and no event tells when it no longer is.
  return {.outcome = errno == EAGAIN ? Dialled::later : Dialled::refused, .socket = {}};
}

}  // namespace

Address ipv4_address(std::string_view address, std::uint16_t port) {
  sockaddr_in socket{};
  socket.sin_family = AF_INET;
  socket.sin_port = htons(port);
  if (::inet_pton(AF_INET, std::string(address).c_str(), &socket.sin_addr) != 1) no_address(address);
  return address_from(socket);
}

Address ipv6_address(std::string_view address, std::uint16_t port) {
  sockaddr_in6 socket{};
  socket.sin6_family = AF_INET6;
  socket.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, std::string(address).c_str(), &socket.sin6_addr) != 1) no_address(address);
  return address_from(socket);
}

Address unix_address(std::string_view path) {
  const auto socket = hostnet::unix_address(path);
  if (!socket) no_address(path);
  return address_from(*socket);
}

Service Service::of(const HostPort& port) {
  if (!port.socket.empty()) return {{unix_address(port.socket)}};
  if (!port.address.empty())
    return {{ipv4_of(port) ? ipv4_address(port.address, port.host) : ipv6_address(port.address, port.host)}};
  if (port.protocol == Protocol::udp) return {{ipv4_address("127.0.0.1", port.host)}};
  return {{ipv4_address("127.0.0.1", port.host), ipv6_address("::1", port.host)}};
}

Dial dial(const Service& service) noexcept {
  Dial out;
  for (const auto& address : service.addresses) {
    out = connect_to(address);
    if (out.outcome != Dialled::refused) break;
  }
  return out;
}

}  // namespace hostnet::relay
