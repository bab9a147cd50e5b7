// Plain blocking sockets for tests; every failure throws with errno's text.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "support/addresses.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <string_view>
#include <system_error>

namespace test {

inline int check_call(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

inline sockaddr_in socket_address(hostnet::Endpoint endpoint) {
  return {.sin_family = AF_INET, .sin_port = htons(endpoint.port), .sin_addr = {endpoint.address.network()}};
}

/// An IPv4 socket, SOCK_STREAM or SOCK_DGRAM, whose calls time out after two seconds.
inline hostnet::Fd open_socket(int type = SOCK_STREAM) {
  hostnet::Fd fd(check_call(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket"));
  const timeval limit{.tv_sec = 2};
  check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
  check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "SO_SNDTIMEO");
  return fd;
}

/// A bound socket; with TCP, a listening one.
inline hostnet::Fd listen_on(hostnet::Endpoint endpoint, int type = SOCK_STREAM) {
  auto fd = open_socket(type);
  const int on = 1;
  check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  const auto address = socket_address(endpoint);
  check_call(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  if (type == SOCK_STREAM) check_call(::listen(fd.get(), 128), "listen");
  return fd;
}

/// A listening TCP socket on an IPv6 address.
inline hostnet::Fd listen_on(const in6_addr& ipv6, std::uint16_t port, bool v6only) {
  hostnet::Fd fd(check_call(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const int only = v6only ? 1 : 0;
  check_call(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), "IPV6_V6ONLY");
  const sockaddr_in6 address{.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ipv6};
  check_call(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check_call(::listen(fd.get(), 128), "listen");
  return fd;
}

inline hostnet::Fd connect_to(hostnet::Endpoint endpoint, int type = SOCK_STREAM) {
  auto fd = open_socket(type);
  const auto address = socket_address(endpoint);
  check_call(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  return fd;
}

inline hostnet::Fd accept_from(const hostnet::Fd& listener) {
  return hostnet::Fd(check_call(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
}

/// The socket's local address.
inline hostnet::Endpoint local_end(const hostnet::Fd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  check_call(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return {hostnet::Ipv4::from_network(address.sin_addr.s_addr), ntohs(address.sin_port)};
}

}  // namespace test
