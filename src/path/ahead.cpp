// What the leases ahead of several paths share: a check, and the start of a container that may end at once.
#include "path/ahead.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "target/endpoint.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace hostnet::exposer {
namespace {

using std::chrono::milliseconds;

// From the end of a command to the engine's word of it: some 50 ms, and seconds on a busy machine.
constexpr std::chrono::seconds kEndSeen{30};
constexpr milliseconds kEndPoll{20};

// The kernel sees the end of a command first, the engine a moment later.
bool has_ended(engine::Client& client, const engine::Container& was, bool surely, Deadline deadline) {
  const auto limit = Deadline::after(kEndSeen);
  while (client.container(was.id, deadline).running) {
    if (!surely || limit.expired() || deadline.expired()) return false;
    std::this_thread::sleep_for(kEndPoll);
  }
  return true;
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
  if (!now.running) return now;
  try {
    lease.started(now, deadline);
  } catch (const Error& error) {
    // A path may fail anywhere over a process that has ended, and calls it what it looks like there.
    const bool surely = error.code() == Errc::not_found || !process_start_time(now.pid);
    if (!has_ended(client, now, surely, deadline)) throw;
    log::debug("container {} has ended: {}", now.name, error.what());
  }
  return now;
}

}  // namespace hostnet::exposer
