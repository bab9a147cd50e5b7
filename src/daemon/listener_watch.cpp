// Looks at listeners and judges leases by them.
#include "daemon/listener_watch.hpp"

#include "core/log.hpp"
#include "daemon/bus_error.hpp"
#include "dbus/names.hpp"

#include <algorithm>
#include <utility>

namespace hostnet::daemon {
namespace {

constexpr std::chrono::milliseconds kOwnPeriod{250};
constexpr std::chrono::milliseconds kWatchPeriod{1000};
constexpr std::chrono::milliseconds kBlindFor{1000};

}  // namespace

const char* lost_listener(const HeldLease& held_lease, const ListenerUids& now) {
  if (held_lease.lease.expose_own && another_listens(now, held_lease.lease.owner.uid))
    return dbus::reason::kListenerChanged;
  if (held_lease.listeners && !are_served_still(*held_lease.listeners, now))
    return dbus::reason::kListenerGone;
  return nullptr;
}

std::optional<ListenerWatch::Clock::time_point> ListenerWatch::tick(Clock::time_point now) {
  std::set<Protocol> protocols;
  bool own = false;
  each_([&](const HeldLease& held_lease) {
    if (!held_lease.lease.expose_own && !held_lease.listeners) return;
    own = own || held_lease.lease.expose_own;
    for (const auto& port : held_lease.lease.ports) protocols.insert(port.protocol);
  });
  if (protocols.empty()) return std::nullopt;
  const auto period = own ? kOwnPeriod : kWatchPeriod;
  due_ = std::min<Clock::time_point>(due_, now + period);
  if (looking_) return now + period;
  if (now < due_) return due_;
  due_ = now + period;
  looking_ = true;
  looks_.run(
      alive_,
      [protocols] {
        auto listeners = std::make_shared<exposer::Listeners>();
        for (const auto protocol : protocols) listeners->on(protocol, 0);
        return listeners;
      },
      [this, look = ++last_look_](auto& outcome) { judge(look, outcome); });
  return due_;
}

void ListenerWatch::judge(std::uint64_t look, Outcome<std::shared_ptr<exposer::Listeners>>& outcome) {
  looking_ = false;
  std::vector<std::pair<std::string, const char*>> lost;
  if (outcome.thrown()) {
    const auto now = Clock::now();
    if (!blind_since_) log::warn("cannot list listeners: {}", bus_error(outcome.thrown()).getMessage());
    blind_since_ = blind_since_.value_or(now);
    if (now - *blind_since_ < kBlindFor) return;
    each_([&](const HeldLease& held_lease) {
      if (held_lease.lease.expose_own) lost.emplace_back(held_lease.lease.id, dbus::reason::kListenerChanged);
    });
  } else {
    blind_since_.reset();
    auto& listeners = *outcome.get();
    each_([&](const HeldLease& held_lease) {
      if (held_lease.first_look > look || (!held_lease.lease.expose_own && !held_lease.listeners)) return;
      if (const auto* const reason =
              lost_listener(held_lease, listeners_of(held_lease.lease.ports, listeners)))
        lost.emplace_back(held_lease.lease.id, reason);
    });
  }
  for (const auto& [id, reason] : lost) lost_(id, reason);
}

}  // namespace hostnet::daemon
