// The daemon's event loop.
//
//   state       event                                        next
//   connecting  the bus accepts the connection               adopting
//   connecting  the first attempt fails, or later attempts   serve() throws
//               fail for 60 s (one every 250 ms)
//   connecting  SIGTERM or SIGINT, after the first attempt   returns
//   adopting    the worker has adopted the leases            serving: requests the bus name, READY=1
//   adopting    adopting fails                               serve() throws
//   serving     message, worker's result, due time           serving
//   serving     no lease and no call for idle_timeout        releases the name, answers the calls that came
//               (30 s by default; 0: never)                  before; returns if still idle, else serving
//   serving     the bus is gone                              connecting; leases bound to a connection end
//   serving     SIGTERM or SIGINT                            stopping: refuses calls, releases leases
//   stopping    all releases done, workers idle              returns
//   stopping    20 s pass                                    _exit(1); the journal keeps the other leases
//
//   kReconnectPeriod 250 ms, kReconnectPatience 60 s, kReleaseDeadline 10 s for one release, kStopPatience
//   20 s. The watchdog is fed every third of its period while no worker is stuck.
#include "daemon/loop.hpp"

#include "core/fd.hpp"
#include "core/log.hpp"
#include "daemon/bus_gate.hpp"
#include "daemon/guard.hpp"
#include "daemon/manager.hpp"
#include "daemon/raw_bus.hpp"
#include "daemon/sdbus.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>

namespace hostnet::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kReconnectPeriod = 250ms;
constexpr auto kReconnectPatience = 60s;
constexpr auto kReleaseDeadline = 10s;
// Covers the current job and the releases after it. The journal keeps the rest for the next process.
constexpr auto kStopPatience = 20s;
constexpr int kMessagesInARow = 64;  // then check signals and timers

Fd block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  // Call before any thread starts: threads inherit the mask.
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    throw Error::from_errno("block signals", error);
  Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw Error::from_errno("signalfd", errno);
  return fd;
}

// How often to feed the service manager's watchdog.
std::optional<Clock::duration> watchdog_period() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds{microseconds} / 3;
}

// nullopt means "no due time".
void bring_forward(std::optional<Clock::time_point>& until, std::optional<Clock::time_point> other) {
  if (other) until = until ? std::min(*until, *other) : *other;
}

int milliseconds_until(std::optional<Clock::time_point> until) {
  if (!until) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

enum class End { stopped, idle, bus_lost };

class Server {
 public:
  explicit Server(const Config& config)
      : config_(config),
        signals_(block_signals()),
        works_{.holder = std::make_shared<exposer::Holder>(settings()),
               .changes = std::make_shared<Worker>("changes", inbox_),
               .looks = std::make_shared<Worker>("looks", inbox_)} {}

  // The Inbox may still own exposures: the workers, or this thread after them, release these.
  ~Server() {
    works_.changes->finish();
    works_.looks->finish();
    while (inbox_.next()) {
    }
  }

  void run() {
    for (bool first = true;; first = false) {
      gate_.reset();
      const auto connection = connect(first);
      if (!connection) return;  // a signal came while waiting for the bus
      Manager manager(*connection, works_, config_);
      manager_ = &manager;
      const auto end = serve(*connection, manager);
      if (end == End::stopped) {
        ::sd_notify(0, "STOPPING=1");
        stop(*connection, manager);
      }
      if (end != End::idle) manager.let_go();
      manager_ = nullptr;
      if (end != End::bus_lost) return;
      log::warn("lost the message bus; waiting for it to return");
    }
  }

 private:
  exposer::Holder::Settings settings() {
    exposer::Holder::Settings settings;
    settings.runtime_dir = state::runtime_dir(config_.runtime_dir);
    settings.release_deadline = kReleaseDeadline;
    settings.firewall = config_.firewall;
    settings.on_end = [this](const exposer::Ended& ended) {
      inbox_.put([this, ended] {
        if (manager_ != nullptr) manager_->ended(ended);
      });
    };
    return settings;
  }

  std::unique_ptr<sdbus::IConnection> connect(bool at_once) {
    const auto give_up = Clock::now() + kReconnectPatience;
    for (;;) {
      try {
        auto connection = sdbus::createSystemBusConnection();
        gate_.emplace(connection->getEventLoopPollData().fd);
        return connection;
      } catch (const sdbus::Error& error) {
        if (at_once || Clock::now() > give_up)
          throw Error(Errc::failure, fmt::format("connect to the system bus: {}", error.getMessage()));
      }
      if (wait(nullptr, Clock::now() + kReconnectPeriod)) return nullptr;
      read_inbox();
    }
  }

  End serve(sdbus::IConnection& connection, Manager& manager) {
    // Adopt leases before requesting the name, so that the first caller sees all of them. Signals wait until
    // then.
    manager.adopt();
    while (!manager.is_ready()) {
      pollfd inbox{.fd = inbox_.fd(), .events = POLLIN, .revents = 0};
      ::poll(&inbox, 1, milliseconds_until(next_feeding()));
      read_inbox();
    }
    connection.requestName(BusName(dbus::kBusName));
    ::sd_notify(0, "READY=1");

    auto* const bus = raw_bus(connection);
    auto idle_since = Clock::now();
    auto calls = manager.calls();
    for (;;) {
      const bool more = process(connection);
      read_inbox();
      if (!is_open(bus)) return End::bus_lost;
      auto now = Clock::now();
      std::optional<Clock::time_point> until;
      guarded("a timer", [&] { until = manager.tick(now); });
      if (std::exchange(calls, manager.calls()) != calls || !manager.is_idle()) idle_since = now;
      if (config_.idle_timeout > 0s && manager.is_idle()) {
        const auto leave_at = idle_since + config_.idle_timeout;
        if (now >= leave_at && leave(connection, manager)) return End::idle;
        bring_forward(until, std::max(leave_at, now));
      }
      if (wait(&connection, more ? now : until)) return End::stopped;
    }
  }

  // Runs until the leases are released or kStopPatience is over. Callers were refused before; they still get
  // the signals about the end of their leases.
  void stop(sdbus::IConnection& connection, Manager& manager) {
    const auto give_up = Clock::now() + kStopPatience;
    manager.stop();
    while (!manager.has_stopped() || !works_.changes->is_idle() || !works_.looks->is_idle()) {
      if (Clock::now() >= give_up) {
        // A normal exit would wait for the workers' threads.
        log::error("leases were not released in time; the journal keeps them for the next process");
        ::_exit(EXIT_FAILURE);
      }
      const bool more = process(connection);
      wait(&connection, more ? Clock::now() : std::min(give_up, Clock::now() + 50ms), false);
      read_inbox();
    }
    read_inbox();
  }

  void read_inbox() {
    while (const auto letter = inbox_.next()) guarded("a worker's result", *letter);
  }

  // Returns whether it handled any message. An error in one message does not mean that the bus is lost:
  // sd-bus knows that (is_open()).
  bool process(sdbus::IConnection& connection) {
    for (int count = 0; count < kMessagesInARow; ++count) {
      bool done = false;
      guarded("the bus", [&] { done = process_one(connection); });
      if (!done) {
        gate_->drained();
        return count > 0;
      }
    }
    return true;
  }

  // Once the name is released, the bus starts another daemon for the next call. Calls delivered before that
  // are answered here.
  bool leave(sdbus::IConnection& connection, Manager& manager) {
    bool left = false;
    guarded("leaving the bus", [&] {
      connection.releaseName(BusName(dbus::kBusName));
      while (process(connection)) {
      }
      left = manager.is_idle();
      if (!left) connection.requestName(BusName(dbus::kBusName));
    });
    return left;
  }

  // Skips feeding when a worker is stuck, so that the service manager notices.
  void feed_watchdog() {
    if (!watchdog_) return;
    if (!works_.changes->is_stuck() && !works_.looks->is_stuck()) ::sd_notify(0, "WATCHDOG=1");
  }

  [[nodiscard]] std::optional<Clock::time_point> next_feeding() {
    feed_watchdog();
    if (!watchdog_) return std::nullopt;
    return Clock::now() + *watchdog_;
  }

  // Waits for an event or until `until`; without it, indefinitely. Returns whether a signal asks to stop.
  bool wait(const sdbus::IConnection* connection, std::optional<Clock::time_point> until,
            bool for_signals = true) {
    bring_forward(until, next_feeding());
    int milliseconds = milliseconds_until(until);
    std::array<pollfd, 4> fds{pollfd{.fd = inbox_.fd(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = for_signals ? signals_.get() : -1, .events = POLLIN, .revents = 0},
                              pollfd{.fd = -1, .events = 0, .revents = 0},
                              pollfd{.fd = -1, .events = POLLIN, .revents = 0}};
    if (connection != nullptr) {
      const auto bus = connection->getEventLoopPollData();
      fds[2].fd = bus.fd;
      fds[2].events = bus.events;
      fds[3].fd = wake_fd(bus);
      if (const int of_bus = bus.getPollTimeout(); of_bus >= 0)
        milliseconds = milliseconds < 0 ? of_bus : std::min(milliseconds, of_bus);
    }
    if (::poll(fds.data(), fds.size(), milliseconds) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    return (fds[1].revents & POLLIN) != 0;
  }

  const Config& config_;
  const std::optional<Clock::duration> watchdog_ = watchdog_period();
  Fd signals_;
  Inbox inbox_;
  Works works_;
  Manager* manager_ = nullptr;   ///< Receives the holder's reports.
  std::optional<BusGate> gate_;  ///< The gate of the connection in run(); destroyed after the connection.
};

}  // namespace

void serve(const Config& config) { Server(config).run(); }

}  // namespace hostnet::daemon
