// signalfd(2) for the signals that end a command, and the thread that reads it.
#include "cli/stop_signals.hpp"

#include "cli/exit_code.hpp"
#include "cli/output.hpp"
#include "core/deadline.hpp"
#include "core/thread.hpp"
#include "engine/cutoff.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace hostnet::cli {
namespace {

using std::chrono::seconds;

constexpr seconds kEngineAtStop{8};
constexpr seconds kUnwinding{3};
// timeout(1) sends its signal twice: to the command, and to its process group.
constexpr seconds kOneSignal{1};
constexpr std::chrono::milliseconds kTend{250};

Fd stop_event() {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw Error::from_errno("eventfd", errno);
  return event;
}

void set_event(const Fd& event) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event.get(), &one, sizeof one);
}

// The main thread may wait for an engine, a lock or a prompt: nothing but the end of the process ends that.
[[noreturn]] void give_up(int signal) {
  print_error(
      Error(Errc::failure, fmt::format("stopped by SIG{} before all was undone", ::sigabbrev_np(signal)),
            "run tc-hostnet list: it removes the rest"),
      kKilled + signal);
  ::_exit(kKilled + signal);
}

}  // namespace

Fd stop_signals() {
  sigset_t stop;
  ::sigemptyset(&stop);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&stop, signal);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw Error::from_errno("signalfd", errno);
  return fd;
}

StopSignals::StopSignals(Phase first)
    : signals_(stop_signals()),
      came_(stop_event()),
      leave_(stop_event()),
      phase_(first),
      ends_since_(std::chrono::steady_clock::now()) {
  if (first == Phase::ending) engine::end_requests_at(Deadline::after(kEngineAtStop));
  thread_ = start_thread("tchn-stop", [this] { listen(); });
}

StopSignals::~StopSignals() {
  set_event(leave_);
  thread_.join();
  engine::resume_requests();
  engine::end_requests_at(Deadline::never());
}

bool StopSignals::stand() {
  const std::lock_guard lock(mutex_);
  if (number_ != 0) return false;
  phase_ = Phase::standing;
  return true;
}

void StopSignals::listen() {
  auto answers = engine::answers();
  auto quiet_since = std::chrono::steady_clock::now();
  for (;;) {
    const bool ends = [&] {
      const std::lock_guard lock(mutex_);
      return phase_ == Phase::ending;
    }();
    std::array<pollfd, 2> fds{{{signals_.get(), POLLIN, 0}, {leave_.get(), POLLIN, 0}}};
    const int patience = ends ? static_cast<int>(kTend.count()) : -1;
    if (::poll(fds.data(), fds.size(), patience) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) {
      hear();
      quiet_since = std::chrono::steady_clock::now();
    }
    if (!ends) continue;
    if (const auto now = engine::answers(); now != answers) {
      answers = now;
      quiet_since = std::chrono::steady_clock::now();
      engine::end_requests_at(Deadline::after(kEngineAtStop));
    }
    if (unwinds_ && !engine::is_undoing() && std::chrono::steady_clock::now() - quiet_since >= kUnwinding)
      give_up(number_);
  }
}

void StopSignals::hear() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  const int signal = static_cast<int>(info.ssi_signo);
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (phase_ == Phase::ending) {
      if (now - ends_since_ >= kOneSignal) give_up(signal);
      return;
    }
    ends_since_ = now;
    number_ = signal;
    unwinds_ = phase_ == Phase::setting_up;
    phase_ = Phase::ending;
  }
  if (unwinds_) engine::stop_requests();
  engine::end_requests_at(Deadline::after(kEngineAtStop));
  set_event(came_);
}

int tell_stopped(int signal) {
  print_error(Error(Errc::failure,
                    fmt::format("stopped by SIG{} before the ports were ready", ::sigabbrev_np(signal))),
              kKilled + signal);
  return kKilled + signal;
}

}  // namespace hostnet::cli
