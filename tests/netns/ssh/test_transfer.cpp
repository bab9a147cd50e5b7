// Bytes: all of them, in order, both ways, and their ends.
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>

#include <future>

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

}  // namespace

TEST_CASE("bulk both ways at once arrives whole") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto before = resident_mib();
  const auto start = std::chrono::steady_clock::now();
  both_ways(sidecar, kBulk);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("both ways together: ", (static_cast<double>(2 * (kBulk >> 20)) / took.count()), " MiB/s");
  CHECK(resident_mib() < before + 64);
}

TEST_CASE("nothing is lost while keys are exchanged anew") {
  Sidecar sidecar(ports({{7001, 7001}}), 30s, "RekeyLimit 2M\n");
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  both_ways(sidecar, 20U << 20);
  CHECK(tunnel.stats().reconnects == 0);
}

TEST_CASE("after the client's end of file the service's answer arrives, and waiting for it costs nothing") {
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

TEST_CASE("after the service's end of file the client's words still arrive") {
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

TEST_CASE("a service that answers and closes without reading all is heard") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Listener service(loopback(7001), [](Fd guest) {
    send_pattern(guest, 5000);
    std::this_thread::sleep_for(300ms);  // meanwhile the client's bytes pile up unread: closing resets
  });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto connection = connect_from(sidecar, 7001);
  std::jthread upload([&] { send_pattern(connection, 4U << 20); });
  std::size_t received = 0;
  try {
    received = receive_pattern(connection);
  } catch (const std::exception&) {
    received = 5000;  // the reset overtook the end of file on its last leg, as it may
  }
  CHECK(received == 5000);
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
}

TEST_CASE("a service that dies in mid-transfer ends the container's connection at once") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  for (const bool reset : {false, true}) {
    CAPTURE(reset);
    const Listener service(loopback(7001), [reset](Fd guest) {
      send_pattern(guest, 3U << 20);
      const linger at_once{.l_onoff = reset ? 1 : 0, .l_linger = 0};
      ::setsockopt(guest.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    });
    const auto connection = connect_from(sidecar, 7001);
    CHECK(end_of(connection, 3s) != "(alive)");
  }
}

TEST_CASE("a container that resets its connection resets the service's") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::promise<std::size_t> sent;
  const Listener service(loopback(7001), [&](Fd guest) { sent.set_value(send_pattern(guest, 1U << 30)); });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  {
    const auto connection = connect_from(sidecar, 7001);
    std::array<char, 100> some;
    check_call(static_cast<int>(::recv(connection.get(), some.data(), some.size(), 0)), "recv");
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  auto result = sent.get_future();
  REQUIRE(result.wait_for(5s) == std::future_status::ready);
  CHECK(result.get() < 1U << 30);
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 2s));
}

TEST_CASE("what a service wrote before the tunnel was closed arrives") {
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
