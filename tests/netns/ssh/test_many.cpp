// Many connections at once: none refused, none delayed by another, bounded memory.
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;

namespace {

void allow_descriptors(rlim_t count) {
  rlimit limit{};
  check_call(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, count));
  check_call(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

Fd deep_listener(std::uint16_t port) {
  auto fd = loopback(port);
  check_call(::listen(fd.get(), 4096), "listen");
  return fd;
}

ssh::TunnelSettings one_lane(Sidecar& sidecar) {
  auto settings = sidecar.settings();
  settings.most_lanes = 1;
  return settings;
}

// Median round trip of one client that sends data and gets it back, with a pause before each. Without pauses,
// most round trips fall into moments when the other traffic has stopped.
std::chrono::microseconds median_round_trip(const Fd& connection, std::size_t rounds,
                                            std::chrono::milliseconds pause = {}) {
  std::vector<std::chrono::microseconds> all;
  std::array<char, 64> words{};
  while (all.size() < rounds) {
    std::this_thread::sleep_for(pause);
    const auto start = std::chrono::steady_clock::now();
    check_call(static_cast<int>(::send(connection.get(), words.data(), words.size(), MSG_NOSIGNAL)), "send");
    check_call(static_cast<int>(::recv(connection.get(), words.data(), words.size(), MSG_WAITALL)), "recv");
    all.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start));
  }
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::ranges::nth_element(all, middle);
  return *middle;
}

}  // namespace

TEST_CASE("512 simultaneous connects are all served") {
  Sidecar sidecar(ports({{7001, 7001}}));
  allow_descriptors(4096);
  const Service service(deep_listener(7001), "hello");
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const auto burst = sidecar.container.run([&] { return connect_all(sidecar.at(7001), 512, 60s); });
  CHECK(burst.refused == 0);
  CHECK(greeted(burst.connected, 60s) == 512);
  CHECK(tunnel.stats().open == 512);
}

// As after packet loss or on a busy machine: the last packet of each handshake arrives when the queue of
// half-open connections is already full.
TEST_CASE("a burst with delayed handshakes is still served") {
  Sidecar sidecar(ports({{7001, 7001}}));
  allow_descriptors(4096);
  const Service service(deep_listener(7001), "hello");
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  sidecar.netns.exec("iptables-legacy -A INPUT -p tcp --dport 7001 --tcp-flags ALL ACK -j DROP");
  const std::jthread later([&] {
    std::this_thread::sleep_for(300ms);
    sidecar.netns.exec("iptables-legacy -F INPUT");
  });
  const auto burst = sidecar.container.run([&] { return connect_all(sidecar.at(7001), 256, 60s); });
  CHECK(burst.refused == 0);
  CHECK(greeted(burst.connected, 60s) == 256);
}

TEST_CASE("2,000 simultaneous connections leave nothing when they end") {
  Sidecar sidecar(ports({{7001, 7001}}));
  allow_descriptors(16'384);
  const Service service(deep_listener(7001), "hello");
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const auto descriptors = open_descriptors();
  const auto before = resident_mib();
  {
    std::vector<Fd> all;
    while (all.size() < 2000) {
      auto burst = sidecar.container.run([&] { return connect_all(sidecar.at(7001), 100, 20s); });
      REQUIRE(burst.refused == 0);
      REQUIRE(greeted(burst.connected, 20s) == 100);
      std::ranges::move(burst.connected, std::back_inserter(all));
    }
    CHECK(tunnel.stats().open == 2000);
    for (const auto i : {0U, 999U, 1999U}) CHECK(goes_on(all[i]));
    MESSAGE("resident: ", resident_mib() - before, " MiB for 2,000 connections");
    if (!kSanitized) CHECK(resident_mib() < before + 64);
  }
  CHECK(eventually([&] { return tunnel.stats().open == 0; }, 10s));
  CHECK(eventually([&] { return open_descriptors() <= descriptors; }, 5s));
}

TEST_CASE("256 uploads to services slower than the tunnel take bounded memory") {
  Sidecar sidecar(ports({{7001, 7001}}));
  allow_descriptors(4096);
  constexpr std::size_t kEach = kSanitized ? 64U << 10 : 1U << 20;
  constexpr std::size_t kMany = kSanitized ? 64 : 256;
  std::atomic<std::size_t> arrived = 0;
  std::atomic<bool> go = false;
  std::size_t peak = 0;
  const Listener service(deep_listener(7001), [&](Fd guest) {
    while (!go) std::this_thread::sleep_for(10ms);
    arrived += receive_pattern(guest);
  });
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  auto burst = sidecar.container.run([&] { return connect_all(sidecar.at(7001), kMany, 20s); });
  REQUIRE(burst.connected.size() == kMany);
  const auto before = resident_mib();
  std::vector<std::jthread> clients;
  for (const auto& connection : burst.connected) {
    const int flags = ::fcntl(connection.get(), F_GETFL);
    ::fcntl(connection.get(), F_SETFL, flags & ~O_NONBLOCK);
    clients.emplace_back([&connection] {
      send_pattern(connection, kEach);
      ::shutdown(connection.get(), SHUT_WR);
    });
  }
  const auto start = std::chrono::steady_clock::now();
  for (; arrived < kMany * kEach && std::chrono::steady_clock::now() - start < 280s;
       std::this_thread::sleep_for(20ms)) {
    peak = std::max(peak, resident_mib());
    if (std::chrono::steady_clock::now() - start > 500ms) go = true;
  }
  // Shows why a session was lost: a machine too busy to answer within nine seconds loses it.
  CAPTURE(tunnel.stats().reason);
  CHECK(arrived.load() == kMany * kEach);
  MESSAGE("resident: ", (peak - std::min(peak, before)), " MiB more at most");
  if (!kSanitized) CHECK(peak < before + 64);
}

// While the sidecar takes nothing, gathered output must neither be lost nor count as the session's end.
TEST_CASE("small answers of many services all arrive while the sidecar stalls and exchanges keys") {
  constexpr std::size_t kPiece = 4096;
  constexpr std::size_t kPieces = kSanitized ? 32 : 128;
  Sidecar sidecar(ports({{7001, 7001}}), 30s, "RekeyLimit 1M\n");
  const Listener service(deep_listener(7001), [&](Fd guest) {
    std::vector<std::uint8_t> all(kPiece * kPieces);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = pattern(i);
    for (std::size_t sent = 0; sent < all.size(); sent += kPiece) {
      check_call(static_cast<int>(::send(guest.get(), all.data() + sent, kPiece, MSG_NOSIGNAL)), "send");
      std::this_thread::sleep_for(10ms);
    }
  });
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const std::jthread stalls([&](const std::stop_token& stop) {
    for (bool frozen = true; !stop.stop_requested() || !frozen; frozen = !frozen) {
      sidecar.freeze(frozen);
      std::this_thread::sleep_for(150ms);
    }
  });
  std::atomic<int> whole = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 64; ++i)
      clients.emplace_back([&] {
        try {
          const auto connection = sidecar.container.run([&] { return connect_to(sidecar.at(7001)); });
          if (receive_pattern(connection) == kPiece * kPieces) ++whole;
        } catch (const std::exception&) {  // not counted
        }
      });
  }
  CHECK(whole == 64);
  CHECK(tunnel.stats().reconnects == 0);
}

TEST_CASE("gathered answers do not wait long") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service echo(loopback(7001), "hello");
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const auto talk = join(sidecar.container, sidecar.at(7001));
  std::vector<Fd> others;
  for (int i = 0; i < 24; ++i) others.push_back(join(sidecar.container, sidecar.at(7001)));
  std::vector<std::jthread> talks;
  for (const auto& connection : others)
    talks.emplace_back([&connection](const std::stop_token& stop) {
      try {
        while (!stop.stop_requested()) median_round_trip(connection, 1);
      } catch (const std::exception&) {  // ends this load; the measured connection decides
      }
    });
  const auto among_many = median_round_trip(talk, 200);
  MESSAGE("p50 of a round trip among 25: ", among_many.count(), " us");
  CHECK(among_many < (kSanitized ? 100ms : 20ms));
}

TEST_CASE("a stalled reader does not slow other connections") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}, {7003, 7003}}));
  const Service echo(loopback(7001), "hello");
  const Listener source(loopback(7002), [](Fd guest) { send_pattern(guest, 64U << 20); });
  const auto never_accepts = loopback(7003);
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const auto talk = join(sidecar.container, sidecar.at(7001));
  const auto connect_to_port = [&](std::uint16_t port) {
    return sidecar.container.run([&] { return connect_to(sidecar.at(port)); });
  };
  const auto stalled_download = connect_to_port(7002);  // never read
  const auto stalled_upload = connect_to_port(7003);
  std::jthread upload([&] { send_pattern(stalled_upload, 64U << 20); });
  std::this_thread::sleep_for(500ms);
  const auto before = cpu_time();
  CHECK(median_round_trip(talk, 50) < (kSanitized ? 100ms : 20ms));
  std::this_thread::sleep_for(500ms);
  if (!kSanitized) CHECK(cpu_time() - before < 200ms);

  const auto download = connect_to_port(7002);
  CHECK(receive_pattern(download) == 64U << 20);
  ::shutdown(stalled_upload.get(), SHUT_RDWR);
}

// `tools/bench ssh` measures how far the rate falls.
TEST_CASE("a service and a container that both stall leave a download most of its rate") {
  constexpr std::size_t kLength = kSanitized ? 8U << 20 : 64U << 20;
  Sidecar sidecar(ports({{7002, 7002}, {7003, 7003}}));
  const Listener source(loopback(7002), [](Fd guest) { send_pattern(guest, kLength); });
  const ssh::Tunnel tunnel(one_lane(sidecar), soon());
  const auto connect_to_port = [&](std::uint16_t port) {
    return sidecar.container.run([&] { return connect_to(sidecar.at(port)); });
  };
  const auto seconds_to_download = [&] {
    const auto start = std::chrono::steady_clock::now();
    CHECK(receive_pattern(connect_to_port(7002)) == kLength);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto has_come_to_rest = [&] {
    const auto seen = [&] { return tunnel.stats().bytes_to_host + tunnel.stats().bytes_from_host; };
    const auto before = seen();
    std::this_thread::sleep_for(100ms);
    return seen() == before;
  };
  double best = 0;
  for (int attempt = 0; attempt < 10 && best < 0.5; ++attempt) {
    const auto never_accepts = loopback(7003);
    const auto alone = seconds_to_download();
    const auto stalled_download = connect_to_port(7002);
    const auto stalled_upload = connect_to_port(7003);
    const std::jthread upload([&] { send_pattern(stalled_upload, 64U << 20); });
    CHECK(eventually([&] { return tunnel.stats().open == 2 && has_come_to_rest(); }, 10s));
    const auto beside = seconds_to_download();
    best = std::max(best, alone / beside);
    ::shutdown(stalled_upload.get(), SHUT_RDWR);
  }
  MESSAGE("rate beside two stalled connections: ", best, " of the rate without");
  CHECK(best >= 0.5);
}

TEST_CASE("a ping on one port is quick beside bulk on another, which has its own lane") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}}));
  const Service echo(loopback(7001), "hello");
  const Listener source(loopback(7002), [](Fd guest) { send_pattern(guest, std::size_t{4} << 30); });
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  CHECK(tunnel.stats().sessions == 2);
  const auto talk = join(sidecar.container, sidecar.at(7001));
  const auto alone = median_round_trip(talk, 100, 3ms);
  const auto bulk = sidecar.container.run([&] { return connect_to(sidecar.at(7002)); });
  std::atomic<std::size_t> received = 0;
  std::jthread reader([&](const std::stop_token& stop) {
    std::vector<char> buffer(1U << 20);
    while (!stop.stop_requested()) {
      const auto got = ::recv(bulk.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) return;
      received += static_cast<std::size_t>(got);
    }
  });
  std::this_thread::sleep_for(200ms);
  auto beside = std::chrono::microseconds::max();
  const auto limit = kSanitized ? 50ms : 10ms;
  for (int attempt = 0; attempt < 10 && beside >= limit; ++attempt) {
    const auto before = received.load();
    beside = std::min(beside, median_round_trip(talk, 100, 3ms));
    CHECK(received - before > 1U << 20);  // it was bulk
  }
  MESSAGE("p50 of a round trip: ", alone.count(), " us alone, ", beside.count(), " us beside bulk");
  CHECK(beside < limit);
  reader.request_stop();
  reader.join();
}
