// See socket.hpp.
#include "socket.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <system_error>

namespace hostnet::bench {
namespace {

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

Fd tcp_socket(int flags) {
  Fd fd{static_cast<int>(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket"))};
  disable_nagle(fd.get());
  return fd;
}

}  // namespace

ssize_t checked(ssize_t result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

sockaddr_in parse_endpoint(std::string_view text) {
  const auto colon = text.find(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  if (colon == std::string_view::npos ||
      ::inet_pton(AF_INET, std::string(text.substr(0, colon)).c_str(), &address.sin_addr) != 1 ||
      std::from_chars(text.data() + colon + 1, end, port).ptr != end || colon + 1 == text.size())
    throw std::invalid_argument("not ADDRESS:PORT: " + std::string(text));
  address.sin_port = htons(port);
  return address;
}

void disable_nagle(int fd) {
  const int on = 1;
  checked(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

Fd listen_on(const sockaddr_in& address) {
  Fd fd = tcp_socket(SOCK_NONBLOCK);
  const int on = 1;
  checked(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  checked(::bind(fd.get(), generic(address), sizeof address), "bind");
  checked(::listen(fd.get(), 4096), "listen");
  return fd;
}

Fd connect_to(const sockaddr_in& address) {
  Fd fd = tcp_socket(0);
  const timeval patience{10, 0};
  checked(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "SO_RCVTIMEO");
  checked(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), "SO_SNDTIMEO");
  checked(::connect(fd.get(), generic(address), sizeof address), "connect");
  return fd;
}

Fd start_connect(const sockaddr_in& address) {
  Fd fd = tcp_socket(SOCK_NONBLOCK);
  if (::connect(fd.get(), generic(address), sizeof address) < 0 && errno != EINPROGRESS)
    throw std::system_error(errno, std::generic_category(), "connect");
  return fd;
}

void send_all(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const auto sent = static_cast<std::size_t>(checked(::send(fd, at, size, MSG_NOSIGNAL), "send"));
    at += sent;
    size -= sent;
  }
}

void receive_all(int fd, void* data, std::size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    const auto got = static_cast<std::size_t>(checked(::recv(fd, at, size, 0), "recv"));
    if (got == 0) throw std::runtime_error("the peer closed in the middle of an answer");
    at += got;
    size -= got;
  }
}

}  // namespace hostnet::bench
