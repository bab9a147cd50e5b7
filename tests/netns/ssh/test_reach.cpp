// What a container can and cannot reach through the tunnel.
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;

namespace {

// A service on a Unix socket that greets.
Fd listen_on_path(const std::string& path) {
  Fd fd(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  check_call(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check_call(::listen(fd.get(), 16), "listen");
  return fd;
}

// A listener on 127.0.0.1 with a full queue: the kernel drops a SYN, and the client retries after one, three
// and seven seconds.
struct BusyListener {
  explicit BusyListener(std::uint16_t port) : socket(loopback(port)) {
    check_call(::listen(socket.get(), 0), "listen");
    const timeval patience{.tv_sec = 30};
    check_call(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
               "SO_RCVTIMEO");
    for (;;) {
      auto burst = connect_all({ip("127.0.0.1"), port}, 1, 200ms);
      if (burst.connected.empty()) return;
      queued.push_back(std::move(burst.connected.front()));
    }
  }
  // From here on the queue has room.
  void drain() {
    for (std::size_t i = 0; i < queued.size(); ++i) static_cast<void>(accept_from(socket));
    queued.clear();
  }

  Fd socket;
  std::vector<Fd> queued;
};

// Whether a client is still trying to connect there.
bool someone_waits(std::uint16_t port) {
  return !exec(fmt::format("ss -Htn state syn-sent dport = {}", port)).empty();
}

}  // namespace

TEST_CASE("the listed ports are reached under their container numbers") {
  Sidecar sidecar(ports({{7001, 7001}, {15432, 5432}}));
  const Service one(loopback(7001), "one"), other(loopback(5432), "other");
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "one");
  CHECK(dial(sidecar.container, sidecar.at(15432)) == "other");
  CHECK(dial(sidecar.container, sidecar.at(5432)) == "(refused)");
  const auto stats = tunnel.stats();
  CHECK(tunnel.state() == ssh::TunnelState::up);
  CHECK(stats.state == "up");
  CHECK(stats.sessions == 2);
  CHECK(stats.accepted == 2);
  MESSAGE("cipher ", stats.cipher, ", handshake ", tunnel.times().handshake.count(), " us, login ",
          tunnel.times().login.count(), " us, forwards ", tunnel.times().forwards.count(), " us");
}

// AES is about three times as fast as ChaCha20 with hardware support, and three times as slow without.
TEST_CASE("the cipher is the fastest for this processor") {
#if defined(__x86_64__) || defined(__i386__)
  const bool fast_aes = try_exec("grep -qw aes /proc/cpuinfo").status == 0;
#else
  const bool fast_aes = true;
#endif
  Sidecar sidecar(ports({{7001, 7001}}));
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  CHECK(tunnel.stats().cipher == (fast_aes ? "aes128-gcm@openssh.com" : "chacha20-poly1305@openssh.com"));
}

TEST_CASE("a service may listen on ::1 only, or on a Unix socket") {
  const TempDir dir;
  const auto path = (dir.path() / "socket").string();
  Sidecar sidecar({{7001, {.port = 7001}}, {7002, {.path = path}}, {7003, {.path = path + ".none"}}});
  const Service v6(listen_on(in6addr_loopback, 7001, true), "v6"), local(listen_on_path(path), "local");
  const ssh::Tunnel tunnel(sidecar.settings(), soon());
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "v6");
  CHECK(dial(sidecar.container, sidecar.at(7002)) == "local");
  CHECK(dial(sidecar.container, sidecar.at(7003)) == "(closed)");
  const auto connection = join(sidecar.container, sidecar.at(7002));
  CHECK(goes_on(connection));
}

TEST_CASE("an absent service fails fast, affects no other, and is reached once it listens") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}}));
  const Service present(loopback(7001), "present");
  auto settings = sidecar.settings();
  settings.most_lanes = 1;
  const ssh::Tunnel tunnel(std::move(settings), soon());
  const auto connection = join(sidecar.container, sidecar.at(7001));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) CHECK(dial(sidecar.container, sidecar.at(7002)) == "(closed)");
  CHECK(std::chrono::steady_clock::now() - start < 2s);
  CHECK(goes_on(connection));
  CHECK(tunnel.stats().unserved == 10);
  {
    const Service late(loopback(7002), "late");
    CHECK(dial(sidecar.container, sidecar.at(7002)) == "late");
  }
  CHECK(dial(sidecar.container, sidecar.at(7002)) == "(closed)");
  CHECK(goes_on(connection));
}

TEST_CASE("a service too busy to accept is waited for, and delays no other") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}}));
  const Service present(loopback(7001), "present");
  BusyListener busy(7002);
  auto settings = sidecar.settings();
  settings.most_lanes = 1;
  const ssh::Tunnel tunnel(std::move(settings), soon());
  const auto talk = join(sidecar.container, sidecar.at(7001));
  REQUIRE_FALSE(someone_waits(7002));
  const auto waiting = sidecar.container.run([&] { return connect_to(sidecar.at(7002)); });
  REQUIRE(eventually([&] { return tunnel.stats().open == 2; }, 5s));
  CHECK(someone_waits(7002));

  const auto goes_on_when_accepted = [&](std::size_t sent_before) {
    send_pattern(waiting, sent_before);
    ::shutdown(waiting.get(), SHUT_WR);
    CHECK(goes_on(talk));
    CHECK(dial(sidecar.container, sidecar.at(7001)) == "present");
    CHECK(end_of(waiting, 200ms) == "(alive)");
    CHECK(someone_waits(7002));
    busy.drain();
    const auto guest = accept_from(busy.socket);
    CHECK(receive_pattern(guest) == sent_before);
    send_pattern(guest, 100'000);
    ::shutdown(guest.get(), SHUT_WR);
    CHECK(receive_pattern(waiting) == 100'000);
    CHECK(eventually([&] { return tunnel.stats().open == 1; }, 5s));
  };
  SUBCASE("until it accepts: the data sent before, its end and the answer arrive") {
    goes_on_when_accepted(5000);
  }
  SUBCASE("until it accepts: an end of file without data arrives too") { goes_on_when_accepted(0); }
  SUBCASE("until it is gone: only that connection ends") {
    CHECK(goes_on(talk));
    CHECK(dial(sidecar.container, sidecar.at(7001)) == "present");
    CHECK(end_of(waiting, 200ms) == "(alive)");
    busy.socket.reset();
    CHECK(end_of(waiting, 20s) != "(alive)");
    CHECK(eventually([&] { return tunnel.stats().open == 1; }, 5s));
    CHECK(tunnel.stats().reconnects == 0);
  }
  CHECK(goes_on(talk));
}

TEST_CASE("a foreign connection is refused before the service sees it") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service service(loopback(7001), "hello");
  auto settings = sidecar.settings();
  settings.sources = std::vector<Ip>{sidecar.container_address};
  ssh::Tunnel tunnel(std::move(settings), soon());
  CHECK(dial(sidecar.neighbour, sidecar.at(7001)) == "(closed)");
  CHECK(dial(sidecar.netns, sidecar.at(7001)) == "(closed)");
  CHECK(service.visits() == 0);
  CHECK(tunnel.stats().strangers == 2);
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "hello");
  CHECK(service.visits() == 1);

  tunnel.set_sources(std::vector<Ip>{ip("198.18.50.4")});
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "(closed)");
  CHECK(dial(sidecar.neighbour, sidecar.at(7001)) == "hello");
}

TEST_CASE("a closed tunnel reaches nothing and leaves no descriptor") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service service(loopback(7001), "hello");
  static_cast<void>(ssh::Libssh::get());
  const auto descriptors = open_descriptors();
  ssh::Tunnel tunnel(sidecar.settings(), soon());
  const auto connection = join(sidecar.container, sidecar.at(7001));
  tunnel.close();
  CHECK(end_of(connection, 1s) != "(alive)");
  CHECK(eventually([&] { return dial(sidecar.container, sidecar.at(7001)) == "(refused)"; }, 2s));
  CHECK(tunnel.stats().open == 0);
  CHECK(eventually([&] { return open_descriptors() == descriptors + 1; }, 1s));  // the connection
}

// The tunnel requests all forwards at once: in sequence, each would wait for the previous answer, 40 ms if
// Nagle's algorithm delays it.
TEST_CASE("two hundred ports are ready within a second after the login") {
  std::map<std::uint16_t, ssh::Service> many;
  for (std::uint16_t port = 20'000; port < 20'200; ++port) many[port] = {.port = 7001};
  const auto limit = kSanitized ? 5000ms : 1000ms;
  auto best = std::chrono::microseconds::max();
  for (int attempt = 0; attempt < 10 && best >= limit; ++attempt) {
    Sidecar sidecar(many);
    const Service service(loopback(7001), "hello");
    const ssh::Tunnel tunnel(sidecar.settings(), soon());
    best = std::min(best, tunnel.times().forwards);
    CHECK(dial(sidecar.container, sidecar.at(20'000)) == "hello");
    CHECK(dial(sidecar.container, sidecar.at(20'199)) == "hello");
  }
  MESSAGE("200 forwards in ", best.count(), " us");
  CHECK(best < limit);
}
