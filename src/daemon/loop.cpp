// Running it all.
#include "daemon/loop.hpp"

#include "core/log.hpp"
#include "daemon/bus_gate.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

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

constexpr auto kLookPeriod = 1s;  // for listeners that leases are bound to
constexpr auto kReconnectPeriod = 250ms;
constexpr auto kReconnectPatience = 60s;
constexpr int kMessagesInARow = 64;  // before signals and the clock are looked at again

Fd block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  // Before any thread is made: they inherit the mask.
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    throw Error::from_errno("block signals", error);
  Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw Error::from_errno("signalfd", errno);
  return fd;
}

// How often the service manager wants to hear from us; zero: never.
std::chrono::microseconds watchdog_period() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) <= 0) return 0us;
  return std::chrono::microseconds{microseconds} / 3;
}

enum class End { stopped, idle, bus_lost };

class Server {
 public:
  explicit Server(const Config& config)
      : config_(config), signals_(block_signals()), holder_(std::make_shared<exposer::Holder>(settings())) {}

  void run() {
    for (bool first = true;; first = false) {
      gate_.reset();
      const auto connection = connect(first);
      if (!connection) return;  // told to stop while waiting for the bus
      Manager manager(*connection, holder_, config_);
      connection->requestName(dbus::kBusName);
      ::sd_notify(0, "READY=1");
      const auto end = serve(*connection, manager);
      if (end == End::stopped) {
        ::sd_notify(0, "STOPPING=1");
        manager.stop();
        return;
      }
      if (end == End::idle) return;
      log::warn("the message bus is gone; waiting for it to come back");
      manager.let_go();
    }
  }

 private:
  exposer::Holder::Settings settings() {
    exposer::Holder::Settings settings;
    settings.runtime_dir = state::runtime_dir(config_.runtime_dir);
    settings.firewall = config_.firewall;
    settings.on_end = [this](const exposer::Ended& ended) { mailbox_.put(ended); };
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
      pollfd signals{.fd = signals_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&signals, 1, static_cast<int>(std::chrono::milliseconds{kReconnectPeriod}.count())) > 0)
        return nullptr;
    }
  }

  End serve(sdbus::IConnection& connection, Manager& manager) {
    const auto watchdog = watchdog_period();
    auto idle_since = Clock::now();
    auto next_look = Clock::now() + kLookPeriod;
    for (;;) {
      try {
        const bool more = process(connection, manager);
        if (more || !manager.idle()) idle_since = Clock::now();
        for (const auto& ended : mailbox_.take()) manager.ended(ended);
        if (Clock::now() >= next_look) {
          manager.look_around();
          next_look = Clock::now() + kLookPeriod;
        }
        manager.tidy();
        if (watchdog > 0us) ::sd_notify(0, "WATCHDOG=1");
        if (idle_for_long(manager, idle_since) && leave(connection, manager)) return End::idle;
        if (wait(connection, more, manager.idle() ? idle_since + config_.idle_timeout : next_look, watchdog))
          return End::stopped;
      } catch (const sdbus::Error& error) {
        log::debug("bus: {}", error.what());
        return End::bus_lost;
      } catch (const Error& error) {
        log::error("{}", error.what());
      }
    }
  }

  // Returns whether anything was done.
  bool process(sdbus::IConnection& connection, Manager& manager) {
    for (int count = 0; count < kMessagesInARow; ++count) {
      if (!connection.processPendingRequest()) {
        gate_->drained();
        return count > 0;
      }
      manager.tidy();
    }
    return true;
  }

  [[nodiscard]] bool idle_for_long(const Manager& manager, Clock::time_point since) const {
    return config_.idle_timeout > 0s && manager.idle() && Clock::now() - since >= config_.idle_timeout;
  }

  // Without the name, the bus starts another daemon for the next call; those that it has given to us are
  // answered.
  bool leave(sdbus::IConnection& connection, Manager& manager) {
    connection.releaseName(dbus::kBusName);
    while (process(connection, manager)) {
    }
    if (manager.idle()) return true;
    connection.requestName(dbus::kBusName);
    return false;
  }

  // Until something happens or it is time. Returns whether a signal asks us to stop.
  bool wait(const sdbus::IConnection& connection, bool more, Clock::time_point until,
            std::chrono::microseconds watchdog) {
    const auto bus = connection.getEventLoopPollData();
    std::array<pollfd, 3> fds{pollfd{.fd = bus.fd, .events = bus.events, .revents = 0},
                              pollfd{.fd = mailbox_.fd(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
    auto timeout = std::max<Clock::duration>(until - Clock::now(), 0ms);
    if (watchdog > 0us) timeout = std::min<Clock::duration>(timeout, watchdog);
    int milliseconds =
        more ? 0 : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(timeout).count());
    if (config_.idle_timeout == 0s && watchdog == 0us && !more) milliseconds = 1000;
    if (const int of_bus = bus.getPollTimeout(); of_bus >= 0) milliseconds = std::min(milliseconds, of_bus);
    if (::poll(fds.data(), fds.size(), milliseconds) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    return (fds[2].revents & POLLIN) != 0;
  }

  const Config& config_;
  Fd signals_;
  Mailbox mailbox_;
  std::shared_ptr<exposer::Holder> holder_;
  std::optional<BusGate> gate_;  // of the connection in run(), and destroyed after it
};

}  // namespace

Mailbox::Mailbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw Error::from_errno("eventfd", errno);
}

void Mailbox::put(const exposer::Ended& ended) noexcept {
  const std::scoped_lock lock(mutex_);
  letters_.push_back(ended);
  const std::uint64_t one = 1;
  // It fails only when it is full, and then the loop is awake anyway.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

std::vector<exposer::Ended> Mailbox::take() {
  const std::scoped_lock lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto read = ::read(wake_.get(), &count, sizeof count);
  return std::exchange(letters_, {});
}

void serve(const Config& config) { Server(config).run(); }

}  // namespace hostnet::daemon
