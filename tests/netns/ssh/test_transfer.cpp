// Data transfer: all bytes, in order, both ways, and ends of file.
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <future>
#include <vector>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kBulk = kSanitized ? 20U << 20 : 200U << 20;

Fd connect_from(const Sidecar& sidecar, std::uint16_t port) {
  return sidecar.container.run([&] { return connect_to(sidecar.at(port)); });
}

void both_ways(const Sidecar& sidecar, std::size_t length) {
  std::promise<std::size_t> arrived;
  const Listener service(loopback(7001), [&](Fd guest) {
    std::jthread upload([&] { arrived.set_value(receive_pattern(guest)); });
    send_pattern(guest, length);
    ::shutdown(guest.get(), SHUT_WR);
  });
  const auto connection = connect_from(sidecar, 7001);
  std::jthread upload([&] {
    send_pattern(connection, length);
    ::shutdown(connection.get(), SHUT_WR);
  });
  CHECK(receive_pattern(connection) == length);
  CHECK(arrived.get_future().get() == length);
}

// More than fits into the socket buffers of sshd and of the connection below.
constexpr std::size_t kAnswer = 512U << 10;

Fd connect_with_small_buffer(const Sidecar& sidecar, std::uint16_t port) {
  return sidecar.container.run([&] {
    auto fd = open_socket();
    const int small = 4096;
    check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), "SO_RCVBUF");
    const auto address = socket_address(sidecar.at(port));
    check_call(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    return fd;
  });
}

// Closes the connection with a reset.
void reset(Fd connection) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace

TEST_CASE("simultaneous bulk both ways arrives completely") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto before = resident_mib();
  const auto start = std::chrono::steady_clock::now();
  both_ways(sidecar, kBulk);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("both ways together: ", (static_cast<double>(2 * (kBulk >> 20)) / took.count()), " MiB/s");
  CHECK(resident_mib() < before + 64);
}

TEST_CASE("a key re-exchange loses nothing") {
  Sidecar sidecar(ports({{7001, 7001}}), 30s, "RekeyLimit 2M\n");
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  both_ways(sidecar, 20U << 20);
  CHECK(tunnel.stats().reconnects == 0);
}

TEST_CASE("after the client's end of file the service's answer arrives, and the wait uses no processor") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Listener service(loopback(7001), [](Fd guest) {
    if (receive_pattern(guest) != 1000) return;
    std::this_thread::sleep_for(1s);
    send_pattern(guest, 1U << 20);
  });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto connection = connect_from(sidecar, 7001);
  send_pattern(connection, 1000);
  ::shutdown(connection.get(), SHUT_WR);
  std::this_thread::sleep_for(100ms);
  const auto before = cpu_time();
  std::this_thread::sleep_for(800ms);
  CHECK(cpu_time() - before < 50ms);
  CHECK(receive_pattern(connection) == 1U << 20);
}

TEST_CASE("after the service's end of file the client's data still arrives") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::promise<std::size_t> arrived;
  const Listener service(loopback(7001), [&](Fd guest) {
    ::shutdown(guest.get(), SHUT_WR);
    arrived.set_value(receive_pattern(guest));
  });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto connection = connect_from(sidecar, 7001);
  CHECK(receive_pattern(connection) == 0);
  const auto before = cpu_time();
  std::this_thread::sleep_for(500ms);
  CHECK(cpu_time() - before < 50ms);
  send_pattern(connection, 100'000);
  ::shutdown(connection.get(), SHUT_WR);
  CHECK(arrived.get_future().get() == 100'000);
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
}

TEST_CASE("the answer of a service that closes without reading everything arrives") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  for (const bool answers_first : {true, false}) {
    CAPTURE(answers_first);
    const Listener service(loopback(7001), [answers_first](Fd guest) {
      if (answers_first) send_pattern(guest, 5000);
      std::this_thread::sleep_for(300ms);  // the client's bytes stay unread, so that close() resets
      if (!answers_first) send_pattern(guest, 5000);
    });
    const auto connection = connect_from(sidecar, 7001);
    std::jthread upload([&] { send_pattern(connection, 64U << 20); });
    int error = 0;  // the reset may overtake the end of file on the last hop, but not the answer
    CHECK(receive_pattern(connection, &error) == 5000);
    CHECK((error == 0 || error == ECONNRESET));
    CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
    ::shutdown(connection.get(), SHUT_RDWR);
  }
}

TEST_CASE("a service that dies, during a transfer or idle, ends the container's connection immediately") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  using Clock = std::chrono::steady_clock;
  for (const bool idle : {false, true})
    for (const bool with_reset : {false, true}) {
      CAPTURE(idle);
      CAPTURE(with_reset);
      std::atomic<bool> die = false;
      std::promise<Clock::time_point> died;
      const Listener service(loopback(7001), [&](Fd guest) {
        const std::vector<char> chunk(64U << 10);
        if (idle) ::send(guest.get(), chunk.data(), 1, MSG_NOSIGNAL);
        while (!die) {
          if (idle)
            std::this_thread::sleep_for(1ms);
          else if (::send(guest.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) <= 0)
            break;
        }
        if (with_reset) reset(std::move(guest));
        guest.reset();
        died.set_value(Clock::now());
      });
      const auto connection = connect_from(sidecar, 7001);
      std::vector<char> buffer(64U << 10);
      const auto read_on = [&] { return ::recv(connection.get(), buffer.data(), buffer.size(), 0); };
      std::size_t received = 0;
      while (received < (idle ? 1U : 4U << 20)) {
        const auto got = read_on();
        REQUIRE(got > 0);
        received += static_cast<std::size_t>(got);
      }
      if (idle) CHECK(end_of(connection, 100ms) == "(alive)");
      die = true;
      ssize_t got = 0;
      do {
        got = read_on();
      } while (got > 0);
      const auto ended = Clock::now();
      CHECK((got == 0 || errno == ECONNRESET));  // not a timeout after two seconds
      CHECK(ended - died.get_future().get() < (kSanitized ? 10s : 1s));
    }
}

// In this case and the next, sshd still has bytes for the container: without pending bytes it cannot tell a
// reset from a shutdown.
TEST_CASE("a container that resets its connection during a transfer resets the service's") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::promise<std::string> seen;
  const Listener service(loopback(7001), [&](Fd guest) {
    const std::vector<char> chunk(64U << 10);
    while (::send(guest.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) > 0) {
    }
    seen.set_value(std::strerror(errno));
  });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  auto connection = connect_with_small_buffer(sidecar, 7001);
  REQUIRE(eventually([&] { return tunnel.stats().bytes_from_host >= kAnswer; }, 5s));
  reset(std::move(connection));
  auto result = seen.get_future();
  REQUIRE(result.wait_for(5s) == std::future_status::ready);
  CHECK(result.get() == std::strerror(ECONNRESET));
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
}

// The service has sent everything and waits, and the tunnel has read everything: a plain close would be an
// orderly end.
TEST_CASE("a container that resets its connection with an answer half read resets the service's") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::promise<std::string> seen;
  const Listener service(loopback(7001), [&](Fd guest) {
    send_pattern(guest, kAnswer);
    std::array<char, 1> more;
    const auto got = ::recv(guest.get(), more.data(), more.size(), 0);
    seen.set_value(got == 0 ? "end of file" : std::strerror(errno));
  });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  auto connection = connect_with_small_buffer(sidecar, 7001);
  REQUIRE(eventually([&] { return tunnel.stats().bytes_from_host == kAnswer; }, 5s));
  std::this_thread::sleep_for(100ms);  // until sshd has the bytes
  reset(std::move(connection));
  auto result = seen.get_future();
  REQUIRE(result.wait_for(5s) == std::future_status::ready);
  CHECK(result.get() == std::strerror(ECONNRESET));
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
}

TEST_CASE("data that a service wrote before the tunnel closed arrives") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::promise<void> written;
  const Listener service(loopback(7001), [&](Fd guest) {
    send_pattern(guest, 1U << 20);
    written.set_value();
  });
  ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto connection = connect_from(sidecar, 7001);
  std::array<char, 1> first;
  ::recv(connection.get(), first.data(), 1, MSG_PEEK);
  written.get_future().wait();
  std::jthread reader([&] { CHECK(receive_pattern(connection) == 1U << 20); });
  std::this_thread::sleep_for(20ms);
  tunnel.close();
}
