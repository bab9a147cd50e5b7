// Handles, callbacks, threads and forks of a program that links the library.
#include "hostnet/error.hpp"
#include "support/forked.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <future>
#include <map>
#include <mutex>
#include <thread>

using namespace hostnet;
using namespace test;
using namespace std::chrono_literals;

namespace {

// A program's state: its exposures by lease, and its notices.
struct Program {
  std::mutex mutex;
  std::map<std::string, Exposure> held;
  std::vector<std::string> told;

  void keep(Exposure exposure) {
    const std::scoped_lock lock(mutex);
    auto id = exposure.id();
    held.emplace(std::move(id), std::move(exposure));
  }
  std::size_t times_told() {
    const std::scoped_lock lock(mutex);
    return told.size();
  }
};

// Ends all leases through another process.
void take_bridge_away() { exec("ip link del br0"); }

}  // namespace

TEST_CASE("a callback may drop the Exposure that it is told of, and all others") {
  Testbed bed(Testbed::OwnRules::none);
  Program program;
  {
    const auto exposer = bed.exposer([&](const std::string& lease, ExposureState, const std::string&) {
      std::unique_lock lock(program.mutex);
      program.told.push_back(lease);
      auto one = program.held.extract(lease);
      lock.unlock();
    });
    for (int i = 0; i < 3; ++i)
      program.keep(
          exposer->expose(Target::bridge("br0"), {HostPort::same(static_cast<std::uint16_t>(8088 + i))}));
    take_bridge_away();
    CHECK(eventually([&] { return program.times_told() == 3; }, 10s));
  }
  CHECK(eventually(
      [&] {
        const std::scoped_lock lock(program.mutex);
        return program.held.empty();
      },
      10s));
}

TEST_CASE("a callback may drop the last Exposure after the exposer has gone, and the exposer itself") {
  Testbed bed(Testbed::OwnRules::none);
  for (const bool with_exposer : {false, true}) {
    CAPTURE(with_exposer);
    Program program;
    std::promise<void> done;
    std::shared_ptr<Exposer> exposer =
        bed.exposer([&](const std::string&, ExposureState, const std::string&) {
          std::unique_lock lock(program.mutex);
          auto held = std::move(program.held);
          auto last = std::move(exposer);
          lock.unlock();
          held.clear();
          last.reset();
          done.set_value();
        });
    program.keep(exposer->expose(Target::bridge("br0"), {HostPort::same(8088)}));
    if (!with_exposer) {
      const std::scoped_lock lock(program.mutex);
      exposer.reset();
    }
    take_bridge_away();
    CHECK(done.get_future().wait_for(10s) == std::future_status::ready);
    exec("ip link add br0 type bridge && ip address add 198.18.0.1/24 dev br0 && ip link set br0 up");
  }
}

TEST_CASE("a callback may release another lease, and hears of that one by its own end alone") {
  Testbed bed(Testbed::OwnRules::none);
  Program program;
  std::promise<ExposureState> other_is;
  auto exposer = bed.exposer([&](const std::string& lease, ExposureState, const std::string&) {
    std::unique_lock lock(program.mutex);
    program.told.push_back(lease);
    auto& other = program.held.at("other");
    lock.unlock();
    other.release();
    other_is.set_value(other.state());
  });
  {
    const std::scoped_lock lock(program.mutex);
    program.held.emplace("other", exposer->expose(Target::bridge("br1"), {HostPort::same(8088)}));
  }
  auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  take_bridge_away();
  auto state = other_is.get_future();
  REQUIRE(state.wait_for(10s) == std::future_status::ready);
  CHECK(state.get() == ExposureState::released);
  CHECK_FALSE(route_localnet("br1"));
  CHECK(program.times_told() == 1);
}

TEST_CASE("one callback may fork, release, and drop all that the program has") {
  Testbed bed(Testbed::OwnRules::none);
  Program program;
  std::promise<int> child_status;
  std::promise<void> done;
  std::shared_ptr<Exposer> exposer = bed.exposer([&](const std::string&, ExposureState, const std::string&) {
    std::unique_lock lock(program.mutex);
    auto held = std::move(program.held);
    auto last = std::move(exposer);
    lock.unlock();
    const auto drop_all = [&] {
      held.clear();
      last.reset();
    };
    const auto child = start_child([&] {
      ::alarm(10);  // it must not wait for threads that it does not have
      drop_all();
      ::_exit(0);
    });
    child_status.set_value(await_child(child));
    const bool others_stand = route_localnet("br1");
    if (others_stand) held.at("other").release();
    CHECK(others_stand);
    CHECK_FALSE(route_localnet("br1"));
    drop_all();
    done.set_value();
  });
  {
    const std::scoped_lock lock(program.mutex);
    program.held.emplace("other", exposer->expose(Target::bridge("br1"), {HostPort::same(8088)}));
  }
  program.keep(exposer->expose(Target::bridge("br0"), {HostPort::same(8088)}));
  take_bridge_away();
  CHECK(done.get_future().wait_for(20s) == std::future_status::ready);
  CHECK(child_status.get_future().get() == 0);
}

TEST_CASE("who releases second returns when the first is done") {
  Testbed bed(Testbed::OwnRules::none);
  auto exposer = bed.exposer();
  for (int round = 0; round < 20; ++round) {
    auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
    std::atomic<int> open = 0;
    const auto release = [&] {
      exposure.release();
      if (route_localnet("br0")) ++open;
    };
    {
      const std::jthread one(release);
      const std::jthread two(release);
      const std::jthread three(release);
    }
    CHECK(open == 0);
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("a forked child releases nothing, and the monitoring of its parent's leases continues") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  std::optional<std::unique_ptr<Exposer>> exposer(bed.exposer([](const auto&, auto, const auto&) {}));
  std::optional<Exposure> exposure((*exposer)->expose(Target::bridge("br0"), {HostPort::same(8088)}));
  const auto whole = bed.snapshot();
  const auto child = start_child([&] {
    ::alarm(10);  // it is not to wait for threads that it does not have
    bool refused = false;
    try {
      exposure->release();
    } catch (const Error& error) {
      refused =
          std::string_view(error.what()).ends_with("belongs to the process that this one was forked from");
    }
    exposure.reset();
    exposer.reset();
    ::_exit(refused ? 0 : 2);
  });
  CHECK(await_child(child) == 0);
  CHECK(bed.snapshot() == whole);
  CHECK(exposure->state() == ExposureState::active);
  exec("sysctl -qw net.ipv4.conf.br0.route_localnet=0");
  CHECK(eventually([&] { return bed.snapshot() == whole; }, 10s));
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  exposure.reset();
  exposer.reset();
  CHECK(bed.changes() == "");
}

TEST_CASE("the program's signals reach the program, and not a thread of the library") {
  Testbed bed(Testbed::OwnRules::none);
  auto exposer = bed.exposer([](const auto&, auto, const auto&) {});
  auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  sigset_t set;
  sigset_t before;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  const Fd signals(::signalfd(-1, &set, SFD_CLOEXEC));
  ::kill(::getpid(), SIGTERM);  // would end the program in any thread that has not blocked it
  pollfd poll{signals.get(), POLLIN, 0};
  CHECK(::poll(&poll, 1, 10'000) == 1);
  signalfd_siginfo info{};
  CHECK(::read(signals.get(), &info, sizeof info) == sizeof info);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  exposure.release();
  CHECK(bed.changes() == "");
}
