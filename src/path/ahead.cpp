// What the leases ahead of several paths share: a check, and the start of a container that may end at once.
#include "path/ahead.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "target/endpoint.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

namespace hostnet::exposer {
namespace {

using std::chrono::milliseconds;

// From the end of a command to the engine's word of it: some 50 ms, and seconds on a busy machine.
constexpr std::chrono::seconds kEndSeen{30};
constexpr milliseconds kEndPoll{20};
constexpr milliseconds kLongestEndPoll{500};

// The kernel sees the end of a command first, the engine a moment later.
bool has_ended(engine::Client& client, const engine::Container& was, bool surely, Deadline deadline) {
  const auto limit = Deadline::after(kEndSeen);
  try {
    for (auto pause = kEndPoll; client.container(was.id, deadline).running;
         pause = std::min(2 * pause, kLongestEndPoll)) {
      if (!surely || limit.expired() || deadline.expired()) return false;
      std::this_thread::sleep_for(pause);
    }
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
  return true;
}

// One that has ended and is not reaped still has its pid and its start time.
bool lives(pid_t pid) {
  if (const auto stat = process_stat(pid)) return !stat->ending;
  return pid > 0 && (::kill(pid, 0) == 0 || errno != ESRCH);  // hidden, as by /proc's hidepid
}

// It would wait for its container for ever.
void end(AheadLease& lease, const engine::Container& container) {
  try {
    lease.exposure.release();
  } catch (const Error& error) {
    log::error("container {}: {}", container.name, error.what());
  }
}

}  // namespace

void AheadLease::check_mac(const engine::Container& container) const {
  if (mac && Mac::parse(endpoint_of(container, false).mac) != mac)
    throw Error(
        Errc::no_path,
        fmt::format("the engine did not give container {} the requested Ethernet address", container.name));
}

engine::Container tell_started(AheadLease& lease, engine::Client& client, const std::string& id,
                               Deadline deadline) {
  auto now = client.container(id, deadline);
  if (!now.running) {
    end(lease, now);
    return now;
  }
  try {
    lease.started(now, deadline);
  } catch (const Error& error) {
    // A path may fail anywhere over a process that has ended, and calls it what it looks like there.
    // The pid is a process of this machine if the engine is.
    const bool surely = error.code() == Errc::not_found || (!lives(now.pid) && !client.why_remote(deadline));
    if (!has_ended(client, now, surely, deadline)) throw;
    log::debug("container {} has ended: {}", now.name, error.what());
    end(lease, now);
  }
  return now;
}

}  // namespace hostnet::exposer
