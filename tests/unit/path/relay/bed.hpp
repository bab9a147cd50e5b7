// A relay between a test's clients and a test's service, over real sockets of this machine's loopback.
#pragma once

#include "core/fd.hpp"
#include "path/relay/relay.hpp"
#include "support/sockets.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

namespace test {

using namespace std::chrono_literals;
using hostnet::Fd;
using hostnet::relay::Counters;
using hostnet::relay::Forward;
using hostnet::relay::Limits;
using hostnet::relay::Relay;

inline hostnet::Endpoint at(std::uint16_t port) { return {hostnet::Ipv4{127U << 24 | 1}, port}; }

inline Fd bind_socket(std::uint16_t port) {
  Fd fd(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int on = 1;
  check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  const auto address = socket_address(at(port));
  check_call(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return fd;
}

/// Bound to a free port of 127.0.0.1 by its number, as a lease's is; does not listen. The kernel takes a port
/// that it chose itself back when the socket listens no more.
inline Fd bound_socket() {
  const auto any = bind_socket(0);
  return bind_socket(local_end(any).port);
}

inline Fd listen_unix(const std::string& path, int backlog = 128) {
  Fd fd(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const auto address = hostnet::relay::unix_address(path);
  check_call(::bind(fd.get(), address.get(), address.length), "bind");
  check_call(::listen(fd.get(), backlog), "listen");
  return fd;
}

/// Waits for what another thread does.
template <class Condition>
bool comes_true(Condition condition, std::chrono::milliseconds limit = 10s) {
  for (const auto end = std::chrono::steady_clock::now() + limit;;) {
    if (condition()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(2ms);
  }
}

struct Bed {
  explicit Bed(hostnet::relay::Service service, Limits limits = {.gate_period = 5ms, .pause = 5ms})
      : relay(std::make_shared<Relay>(limits)) {
    auto socket = bound_socket();
    port = local_end(socket).port;
    forward.emplace(std::move(socket), std::move(service), counters, relay);
  }
  /// Of a TCP service on 127.0.0.1.
  explicit Bed(const Fd& listener, Limits limits = {.gate_period = 5ms, .pause = 5ms})
      : Bed(hostnet::relay::Service{{hostnet::relay::ipv4_address("127.0.0.1", local_end(listener).port)}},
            limits) {}

  [[nodiscard]] Fd connect() const { return connect_to(at(port)); }
  /// connect(2)'s errno, 0 if it succeeds.
  [[nodiscard]] int try_connect() const {
    try {
      static_cast<void>(connect());
      return 0;
    } catch (const std::system_error& error) {
      return error.code().value();
    }
  }

  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  std::shared_ptr<Relay> relay;
  std::uint16_t port = 0;
  std::optional<Forward> forward;
};

inline void send_all(const Fd& fd, std::string_view text) {
  while (!text.empty())
    text.remove_prefix(static_cast<std::size_t>(
        check_call(static_cast<int>(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL)), "send")));
}

/// Everything up to the end of file. @throws std::system_error, with ECONNRESET after a reset.
inline std::string read_to_end(const Fd& fd) {
  std::string out;
  std::array<char, 65536> part{};
  for (;;) {
    const auto got = check_call(static_cast<int>(::recv(fd.get(), part.data(), part.size(), 0)), "recv");
    if (got == 0) return out;
    out.append(part.data(), static_cast<std::size_t>(got));
  }
}

inline std::string read_some(const Fd& fd, std::size_t size) {
  std::string out(size, '\0');
  out.resize(static_cast<std::size_t>(
      check_call(static_cast<int>(::recv(fd.get(), out.data(), size, MSG_WAITALL)), "recv")));
  return out;
}

inline void reset_by_linger(Fd fd) {
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/// The errno with which the other end is met by a read; 0 for an end of file.
inline int errno_of_read(const Fd& fd) {
  try {
    static_cast<void>(read_to_end(fd));
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

inline std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  std::uint32_t state = 1;
  for (auto& byte : out) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

}  // namespace test
