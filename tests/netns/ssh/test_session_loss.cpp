// Lost sessions and the tunnel's recovery.
#include "path/sidecar/dial.hpp"
#include "path/sidecar/sshd.hpp"
#include "ssh/sidecar.hpp"
#include "ssh/traffic.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;
using ssh::TunnelState;

namespace {

// The states that a tunnel reported.
class Reports {
 public:
  auto sink() {
    return [this](TunnelState state, const std::string& reason) {
      const std::lock_guard lock(mutex_);
      states_ += std::string(ssh::to_string(state)) + " ";
      if (!reason.empty()) reason_ = reason;
    };
  }
  std::string states() {
    const std::lock_guard lock(mutex_);
    return states_;
  }
  std::string reason() {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

 private:
  std::mutex mutex_;
  std::string states_;
  std::string reason_;
};

ssh::TunnelSettings one_lane(Sidecar& sidecar, Reports& reports) {
  auto settings = sidecar.settings();
  settings.most_lanes = 1;
  settings.on_state = reports.sink();
  return settings;
}

}  // namespace

TEST_CASE("a session that is cut comes back with the same ports") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}}));
  const Service service(loopback(7001), "hello"), other(loopback(7002), "other");
  Reports reports;
  const ssh::Tunnel tunnel(one_lane(sidecar, reports), soon());
  const auto descriptors = open_descriptors();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    CAPTURE(round);
    const auto connection = join(sidecar.container, sidecar.at(7001));
    sidecar.cut_sessions();
    CHECK(end_of(connection, 2s) != "(alive)");
    CHECK(eventually([&] { return tunnel.stats().reconnects == round; }, 5s));
    CHECK(eventually([&] { return tunnel.state() == TunnelState::up; }, 2s));
    CHECK(dial(sidecar.container, sidecar.at(7001)) == "hello");
    CHECK(dial(sidecar.container, sidecar.at(7002)) == "other");
  }
  CHECK(
      eventually([&] { return reports.states() == "reconnecting up reconnecting up reconnecting up "; }, 2s));
  CHECK(eventually([&] { return open_descriptors() <= descriptors; }, 2s));
}

TEST_CASE("a session lost during bulk transfer comes back") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Listener service(loopback(7001), [](Fd guest) {
    std::jthread upload([&] { send_pattern(guest, 1U << 30); });
    try {
      receive_pattern(guest);
    } catch (const std::exception&) {
    }
  });
  Reports reports;
  const ssh::Tunnel tunnel(one_lane(sidecar, reports), soon());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const auto connection = sidecar.container.run([&] { return connect_to(sidecar.at(7001)); });
    std::jthread upload([&] { send_pattern(connection, 1U << 30); });
    std::jthread download([&] {
      try {
        receive_pattern(connection);
      } catch (const std::exception&) {
      }
    });
    std::this_thread::sleep_for(300ms);
    sidecar.cut_sessions();
    CHECK(eventually([&] { return tunnel.stats().reconnects == round; }, 5s));
  }
}

TEST_CASE("the tunnel finds a restarted sidecar again") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service service(loopback(7001), "hello");
  Reports reports;
  const ssh::Tunnel tunnel(one_lane(sidecar, reports), soon());
  sidecar.kill();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::reconnecting; }, 2s));
  CHECK(tunnel.stats().sessions == 0);
  CHECK_FALSE(tunnel.stats().reason.empty());
  std::this_thread::sleep_for(300ms);
  sidecar.start();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::up; }, 5s));
  CHECK(tunnel.stats().reason.empty());
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "hello");
}

TEST_CASE("the tunnel gives up a hanging sidecar, and finds it again when it continues") {
  Sidecar sidecar(ports({{7001, 7001}}));
  const Service service(loopback(7001), "hello");
  Reports reports;
  const ssh::Tunnel tunnel(one_lane(sidecar, reports), soon());
  sidecar.freeze(true);
  const auto before = cpu_time();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::reconnecting; }, 12s));
  CHECK(cpu_time() - before < 500ms);
  CHECK(reports.reason() == "the ssh session is lost: the sidecar is silent");
  sidecar.freeze(false);
  CHECK(eventually([&] { return tunnel.state() == TunnelState::up; }, 20s));
  CHECK(dial(sidecar.container, sidecar.at(7001)) == "hello");
}

TEST_CASE("a sidecar that does not come back fails the tunnel within its limit, with the reason") {
  Sidecar sidecar(ports({{7001, 7001}}));
  Reports reports;
  auto settings = one_lane(sidecar, reports);
  settings.give_up = 1s;
  const ssh::Tunnel tunnel(std::move(settings), soon());
  sidecar.kill();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::failed; }, 3s));
  CHECK(eventually([&] { return reports.states() == "reconnecting failed "; }, 1s));
  CHECK(reports.reason().starts_with("ssh banner: the sidecar's sshd does not serve: 198.18.50.2:22: "));
  CHECK(tunnel.stats().reason == reports.reason());
}

TEST_CASE("a sidecar that no longer exists fails the tunnel immediately") {
  Sidecar sidecar(ports({{7001, 7001}}));
  std::atomic<bool> gone = false;
  Reports reports;
  auto settings = one_lane(sidecar, reports);
  settings.dial = [&, at = sidecar.at(ssh::kPort)](Deadline deadline, const ssh::Accept& accept) {
    const auto still_there = [&] {
      if (gone) throw Error(Errc::not_found, "the sidecar was removed");
    };
    test::dial_one(at, deadline, still_there, accept);
  };
  const ssh::Tunnel tunnel(std::move(settings), soon());
  gone = true;
  sidecar.kill();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::failed; }, 1500ms));
  CHECK(tunnel.stats().reason == "the sidecar was removed");
}

TEST_CASE("a reconnecting tunnel can be closed") {
  Sidecar sidecar(ports({{7001, 7001}}));
  Reports reports;
  ssh::Tunnel tunnel(one_lane(sidecar, reports), soon());
  sidecar.kill();
  CHECK(eventually([&] { return tunnel.state() == TunnelState::reconnecting; }, 2s));
  const auto start = std::chrono::steady_clock::now();
  tunnel.close();
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("a sidecar without an owner ends by itself") {
  Sidecar sidecar(ports({{7001, 7001}}), 2s);
  {
    const ssh::Tunnel tunnel(sidecar.settings(), soon());
    std::this_thread::sleep_for(4s);
    CHECK(sidecar.alive());
  }
  CHECK(eventually([&] { return !sidecar.alive(); }, 6s));
}

TEST_CASE("a session lost during the set-up of another does not delay the constructor beyond its deadline") {
  Sidecar sidecar(ports({{7001, 7001}, {7002, 7002}}));
  auto settings = sidecar.settings();
  std::atomic<int> dialled = 0;
  std::atomic<bool> is_lost = false;
  settings.dial = [&, dial = settings.dial](Deadline limit, const ssh::Accept& accept) {
    const int n = dialled++;
    if (n == 1) {  // the second lane waits until the first has been cut
      if (!eventually([&] { return is_lost.load(); }, 10s)) throw Error(Errc::failure, "nothing was cut");
    } else if (n > 1) {  // and no lane comes back
      throw Error(Errc::failure, "nobody there");
    }
    dial(limit, accept);
  };
  settings.on_state = [&](TunnelState state, const std::string&) {
    is_lost = state == TunnelState::reconnecting;
  };
  settings.give_up = 60s;
  const std::jthread cutter([&] {
    for (; !is_lost; std::this_thread::sleep_for(50ms)) sidecar.cut_sessions();
  });
  const auto start = Deadline::Clock::now();
  CHECK_THROWS_AS(ssh::Tunnel(std::move(settings), Deadline::after(3s)), Error);
  CHECK(Deadline::Clock::now() - start < 20s);
  is_lost = true;
}
