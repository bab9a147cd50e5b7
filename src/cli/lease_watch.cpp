// Waits with poll(2).
#include "cli/lease_watch.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <utility>

namespace hostnet::cli {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOwners = 512;  // further ones are seen when something else changes
constexpr std::uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_MODIFY |
                                   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// Locks and unfinished files change with each look.
bool is_state(std::string_view name) {
  return name.empty() || name.ends_with(".json") || name.ends_with(".jsonl");
}

int milliseconds_until(Clock::time_point then) {
  const auto left = std::chrono::ceil<milliseconds>(then - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
}

}  // namespace

LeaseWatch::LeaseWatch(std::vector<std::filesystem::path> folders) : folders_(std::move(folders)) {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) ::sigaddset(&watched, signal);
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) throw Error::from_errno("signalfd", errno);
  if (::geteuid() == 0) return;
  try {
    bus_ = std::make_unique<dbus::Client>();
    bus_->watch_leases();
  } catch (const Error& error) {
    log::debug("the helper's leases are not watched: {}", error.what());
    bus_.reset();
  }
}

void LeaseWatch::arm() {
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) throw Error::from_errno("watch the leases", errno);
  expected_.clear();
  for (const auto& folder : folders_) watch(folder);
}

void LeaseWatch::watch(const std::filesystem::path& folder) {
  std::string child;
  int restarts = 0;
  for (auto at = folder;; at = at.parent_path()) {
    const int number = ::inotify_add_watch(inotify_.get(), at.c_str(), kChanges);
    if (number >= 0) {
      // The same ancestor may serve two folders: then any name counts.
      const auto [place, is_new] = expected_.emplace(number, child);
      if (!is_new && place->second != child) place->second = "*";
      // It may have appeared after the attempt above.
      std::error_code error;
      if (child.empty() || !std::filesystem::is_directory(at / child, error) || ++restarts > 8) return;
      at = folder / "x";  // begins again with the folder itself
      child.clear();
      continue;
    }
    if (errno != ENOENT && errno != ENOTDIR) return;  // root's, which this user does not see either
    if (at == at.parent_path()) return;
    child = at.filename();
  }
}

bool LeaseWatch::read_changes() {
  bool changed = false;
  alignas(inotify_event) std::array<char, 16384> buffer;
  ssize_t got = 0;
  while ((got = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0) {
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof *event + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) changed = true;
      const auto place = expected_.find(event->wd);
      if (place == expected_.end()) continue;
      const std::string_view name(event->len > 0 ? event->name : "");
      const auto& child = place->second;
      changed = changed || (child.empty() ? is_state(name) : child == "*" || name.empty() || name == child);
    }
  }
  return changed;
}

std::optional<LeaseWatch::Woken> LeaseWatch::read_signals() {
  std::optional<Woken> out;
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGWINCH) return Woken::stop;
    out = Woken::time;
  }
  return out;
}

LeaseWatch::Woken LeaseWatch::wait(const std::vector<pid_t>& owners, milliseconds least,
                                   std::optional<milliseconds> most) {
  const auto begin = Clock::now();
  std::vector<Fd> deaths;
  for (const auto owner : owners) {
    if (deaths.size() == kMostOwners) break;
    Fd death(static_cast<int>(::syscall(SYS_pidfd_open, owner, 0)));
    if (death) deaths.push_back(std::move(death));
  }
  bool changed = false;
  for (;;) {
    // Once something has changed only a signal matters until `least` has passed.
    std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}};
    if (!changed) {
      fds.push_back({inotify_.get(), POLLIN, 0});
      if (bus_) fds.push_back({bus_->fd(), bus_->events(), 0});
      for (const auto& death : deaths) fds.push_back({death.get(), POLLIN, 0});
    }
    int timeout = changed ? milliseconds_until(begin + least) : most ? milliseconds_until(begin + *most) : -1;
    if (bus_ && !changed)
      if (const int of_bus = bus_->timeout(); of_bus >= 0)
        timeout = timeout < 0 ? of_bus : std::min(timeout, of_bus);
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (const auto told = read_signals()) return *told;
    if (changed && Clock::now() >= begin + least) return Woken::change;
    if (changed) continue;
    changed = read_changes();
    if (bus_) changed = bus_->leases_changed() || changed;
    const auto first = fds.size() - deaths.size();
    for (auto i = first; i < fds.size(); ++i) changed = changed || fds[i].revents != 0;
    if (!changed && most && Clock::now() >= begin + *most) return Woken::time;
  }
}

}  // namespace hostnet::cli
