// Asks the engine about one container, exposes its ports and releases them.
//
//   Standing  entered by                                        left by
//   held      expose() succeeded                                release(): container stopped or restarted;
//                                                               ended(): lease ended by itself
//   ended     ended(): lease was released, not by `watch`       stop or restart of the container
//   refused   labels have a fault, or expose() gave             stop or restart of the container
//             invalid_argument
//   waiting   deal() before the act; expose() or lease failed   `again` is due: deal() tries once more;
//                                                               stop or restart of the container
//
//   limit          value       of
//   kEngineSpan    10 s        one call of the engine (watch_deadline())
//   kFirstRetry    2 s         wait after the first failure; doubles with each further one
//   kLongestRetry  60 s        longest wait between tries; there is no last try
//   exposer's own              expose() and release(): see the path
//
// Threads: the workers, one per entry at a time; ask_for() also in the caller of Watcher::survey(). mutex_
// guards exposers_ and is held while an exposer is created. end() makes deal() and expose() do nothing.
#include "watch/applier.hpp"

#include "core/file.hpp"
#include "core/printable.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "path/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;
using Kind = WatchEvent::Kind;

constexpr auto kEngineSpan = 10s;
constexpr auto kFirstRetry = 2s;
constexpr auto kLongestRetry = 60s;
// Length of a short container id, as engines print and accept it.
constexpr std::size_t kShortId = 12;

// True also if there is no such process on this machine.
bool has_ended(pid_t process) {
  const auto stat = process_stat(process);
  return !stat || stat->state == 'Z' || stat->state == 'X';
}

ExposeRequest request_for(const Wanted& wanted) {
  ExposeRequest request{.target = Target::container(wanted.id.substr(0, kShortId)), .ports = wanted.ports};
  // The target is the id: the name may belong to another container by the time of the look-up. The label
  // shows the name, which people know.
  constexpr std::size_t longest_label = 64;
  request.label = beginning(printable("watch: " + wanted.name), longest_label);
  return request;
}

WatchEvent event_of(Kind kind, const std::string& id, const Applier::Entry& entry) {
  WatchEvent event;
  event.kind = kind;
  event.id = id.substr(0, kShortId);
  event.name = entry.name;
  event.lease = entry.exposure.id();
  event.via = BehindExposure::via(entry.exposure);
  event.gateway = entry.exposure.gateway();
  event.interface = entry.exposure.interface();
  event.ports = entry.exposure.ports();
  return event;
}

void try_again(Applier::Entry& entry) {
  entry.dealt->standing = Standing::waiting;
  entry.dealt->again = WatchClock::now() + backoff(++entry.failures, kFirstRetry, kLongestRetry);
}

}  // namespace

const char* to_string(WatchEvent::Kind kind) noexcept {
  switch (kind) {
    case Kind::watching:
      return "watching";
    case Kind::exposed:
      return "exposed";
    case Kind::released:
      return "released";
    case Kind::refused:
      return "refused";
    case Kind::failed:
      return "failed";
    case Kind::engine_lost:
      return "engine-lost";
    case Kind::engine_back:
      return "engine-back";
    case Kind::unknown_label:
      return "unknown-label";
  }
  return "failed";
}

Deadline watch_deadline() { return Deadline::after(kEngineSpan); }

Applier::Applier(WatchSettings settings, engine::Address engine, std::function<void(EndedLease)> on_ended)
    : settings_(std::move(settings)), address_(std::move(engine)), on_ended_(std::move(on_ended)) {}

void Applier::deal(const std::string& id, Entry& entry) {
  if (ending_) return;
  engine::Client client(address_);
  deal(client, id, entry, ask_for(client, id));
}

std::optional<Wanted> Applier::ask_for(engine::Client& client, const std::string& id) const {
  try {
    const auto container = client.container(id, watch_deadline());
    if (!container.running || !container.labels.contains(kPortsLabel)) return std::nullopt;
    std::map<std::string, std::string> image_labels;
    if (!settings_.trust_images) image_labels = client.image_labels(container.image_id, watch_deadline());
    auto wanted =
        wanted_by(container, image_labels, {settings_.order, settings_.trust_images, settings_.allowance});
    return wanted ? with_links_refused(std::move(*wanted)) : wanted;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
}

void Applier::deal(engine::Client& client, const std::string& id, Entry& entry,
                   const std::optional<Wanted>& wanted) {
  const auto step =
      next_step(wanted ? &*wanted : nullptr, entry.dealt ? &*entry.dealt : nullptr, WatchClock::now());
  if (step.release) release(id, entry, wanted ? "its container was restarted" : "its container has stopped");
  if (step.forget) entry = {};
  if (!step.expose && !step.refuse) return;
  if (!entry.dealt || entry.dealt->run != wanted->run) entry = {};
  entry.name = wanted->name;
  // `waiting` and due now: if the engine call below throws, the container is tried again once the engine is
  // back.
  entry.dealt = Dealt{.standing = Standing::waiting, .run = wanted->run, .again = WatchClock::now()};
  if (step.refuse) {
    entry.dealt->standing = Standing::refused;
    failed(*wanted, entry, *wanted->fault);
  } else {
    expose(client, *wanted, entry);
  }
}

void Applier::expose(engine::Client& client, const Wanted& wanted, Entry& entry) {
  if (ending_) return;
  try {
    entry.exposure = exposer_for(wanted.via).expose(request_for(wanted));
  } catch (const Error& error) {
    if (ending_) return;
    // If this run has already ended, the error does not matter: deal with the current state.
    const auto now = ask_for(client, wanted.id);
    if (!now || now->run != wanted.run) {
      entry = {};
      deal(client, wanted.id, entry, now);
      return;
    }
    // The kernel sees the end of the process before the engine does: a first failure of an ending run is not
    // reported. With an engine on another machine, no process is ever here: the next failure is reported.
    const bool ending = entry.failures == 0 && has_ended(wanted.run);
    if (!ending) failed(wanted, entry, error);
    // A retry does not fix an invalid request, such as a container on the host's network.
    if (error.code() == Errc::invalid_argument && !ending)
      entry.dealt->standing = Standing::refused;
    else
      try_again(entry);
    return;
  }
  entry.dealt->standing = Standing::held;
  entry.failures = 0;
  entry.last_fault.clear();
  settings_.on_event(event_of(Kind::exposed, wanted.id, entry));
  // The lease may have ended since expose(): its callback found no entry with its id, or is still to come.
  if (entry.exposure.state() != ExposureState::active)
    on_ended_({entry.exposure.id(), entry.exposure.state(), entry.exposure.reason()});
}

// Reports each fault once, not at every retry.
void Applier::failed(const Wanted& wanted, Entry& entry, const Error& error) const {
  if (std::exchange(entry.last_fault, error.what()) == error.what()) return;
  auto event = event_of(wanted.refused.empty() ? Kind::failed : Kind::refused, wanted.id, entry);
  event.ports = wanted.refused.empty() ? wanted.ports : wanted.refused;
  event.reason = error.what();
  event.hint = error.hint();
  settings_.on_event(event);
}

bool Applier::release(const std::string& id, Entry& entry, const std::string& reason) {
  auto event = event_of(Kind::released, id, entry);
  event.reason = reason;
  try {
    entry.exposure.release();
  } catch (const Error& error) {
    event.kind = Kind::failed;
    event.reason = error.what();
    event.hint = error.hint();
  }
  const bool clean = event.kind == Kind::released;
  entry.exposure = {};
  settings_.on_event(event);
  return clean;
}

void Applier::ended(const std::string& id, Entry& entry, const EndedLease& lease) {
  const bool released = lease.state == ExposureState::released;
  auto event = event_of(released ? Kind::released : Kind::failed, id, entry);
  event.reason = lease.reason;
  entry.exposure = {};
  if (released)
    entry.dealt->standing = Standing::ended;
  else
    try_again(entry);
  settings_.on_event(event);
}

Exposer& Applier::exposer_for(const PathOrder& order) {
  const std::lock_guard lock(mutex_);
  auto& exposer = exposers_[order_text(order)];
  if (!exposer) {
    auto options = settings_.exposer;
    options.interactive = false;
    options.on_state = [on_ended = on_ended_](const std::string& lease, ExposureState state,
                                              const std::string& reason) {
      on_ended({lease, state, reason});
    };
    exposer = make_exposer_by(paths(), order, std::move(options));
  }
  return *exposer;
}

}  // namespace hostnet::exposer
