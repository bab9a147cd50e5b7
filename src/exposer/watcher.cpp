// Following the engine, and acting on what is found.
#include "exposer/watcher.hpp"

#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/printable.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <set>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;
using Kind = WatchEvent::Kind;

constexpr auto kEngineSpan = 10s;
constexpr auto kFirstRetry = 2s;
constexpr auto kLongestRetry = 60s;
constexpr auto kFirstReconnect = 200ms;
constexpr auto kLongestReconnect = 10s;
constexpr auto kSteady = 30s;
// A container's id, as engines show it to people and take it back.
constexpr std::size_t kShortId = 12;

Deadline engine_deadline() { return Deadline::after(kEngineSpan); }

// An engine that is away, in contrast to one that has something to say against a request.
bool is_away(const Error& error) {
  return error.code() == Errc::engine_unavailable || error.code() == Errc::timed_out;
}

// Or there is no such process on this machine.
bool has_ended(pid_t process) {
  const auto stat = process_stat(process);
  return !stat || stat->state == 'Z' || stat->state == 'X';
}

ExposeRequest request_for(const Wanted& wanted) {
  ExposeRequest request{.target = Target::container(wanted.id.substr(0, kShortId)), .ports = wanted.ports};
  // By id, since a name may be another container's by the time it is looked up; people know the name.
  constexpr std::size_t longest_label = 64;
  request.label = beginning(printable("watch: " + wanted.name), longest_label);
  return request;
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
  }
  return "failed";
}

// Leases that have ended by themselves, told by the library's threads and taken out by the loop's. Leases of
// an exposer may outlive the watcher for a moment, so it is shared with their callback.
class Watcher::EndedLeases {
 public:
  struct Notice {
    std::string lease;
    ExposureState state;
    std::string reason;
  };

  EndedLeases() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw Error::from_errno("eventfd", errno);
  }

  [[nodiscard]] int fd() const noexcept { return wake_.get(); }

  void put(Notice notice) {
    const std::lock_guard lock(mutex_);
    notices_.push_back(std::move(notice));
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  }

  std::vector<Notice> take() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(notices_, {});
  }

 private:
  Fd wake_;
  std::mutex mutex_;
  std::vector<Notice> notices_;
};

Watcher::Watcher(EventLoop& loop, Settings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      address_(engine::Address::find(settings_.exposer.engine)),
      ended_(std::make_shared<EndedLeases>()) {
  settings_.exposer.interactive = false;
  settings_.exposer.on_state = [ended = ended_](const std::string& lease, ExposureState state,
                                                const std::string& reason) {
    ended->put({lease, state, reason});
  };
  loop_.add(ended_->fd(), EPOLLIN, [this](std::uint32_t) { on_ended_leases(); });
}

Watcher::~Watcher() {
  if (stream_) loop_.remove(stream_->fd());
  loop_.remove(ended_->fd());
}

void Watcher::start() {
  connect();
  loop_.every(settings_.list_period, [this] {
    try {
      if (client_) take_on_all(labelled());
    } catch (const Error& error) {
      lost(error);
    }
  });
}

std::size_t Watcher::finish() {
  std::size_t failures = 0;
  for (auto& [id, entry] : entries_)
    if (entry.dealt.standing == Standing::held && !release(id, entry, "watch ends")) ++failures;
  entries_.clear();
  return failures;
}

std::vector<Wanted> Watcher::survey() {
  client_.emplace(address_);
  std::vector<Wanted> all;
  for (const auto& container : engine::Containers(*client_).list({kPortsLabel}, engine_deadline()))
    if (auto wanted = ask_for(container.id)) all.push_back(std::move(*wanted));
  return all;
}

void Watcher::connect() {
  std::set<std::string> ids;
  try {
    client_.emplace(address_);
    // What happens between this call and the list is in both.
    stream_.emplace(client_->events(std::time(nullptr), engine_deadline()));
    loop_.add(stream_->fd(), EPOLLIN, [this](std::uint32_t) { on_events(); });
    ids = labelled();
  } catch (const Error& error) {
    const bool for_good = error.code() == Errc::not_authorised || error.code() == Errc::invalid_argument;
    if (for_good && !away_ && !told_watching_) throw;
    lost(error);
    return;
  }
  reached_ = WatchClock::now();
  WatchEvent event;
  event.engine = address_.socket;
  if (std::exchange(away_, false)) {
    event.kind = Kind::engine_back;
    settings_.on_event(event);
  }
  take_on_all(std::move(ids));
  if (!client_ || std::exchange(told_watching_, true)) return;
  event.kind = Kind::watching;
  settings_.on_event(event);
}

void Watcher::lost(const Error& error) {
  if (stream_) loop_.remove(stream_->fd());
  stream_.reset();
  client_.reset();
  // An engine that answers and goes away again, over and over, is asked more and more rarely, too.
  losses_ = !away_ && WatchClock::now() - reached_ > kSteady ? 1 : losses_ + 1;
  if (!std::exchange(away_, true)) {
    WatchEvent event;
    event.kind = Kind::engine_lost;
    event.engine = address_.socket;
    event.reason = error.what();
    event.hint = error.hint();
    settings_.on_event(event);
  }
  loop_.after(backoff(losses_, kFirstReconnect, kLongestReconnect), [this] {
    if (!client_) connect();
  });
}

void Watcher::on_events() {
  std::vector<std::string> changed;
  try {
    const bool more = stream_->read([&](const engine::Event& event) {
      const bool known = entries_.contains(event.container);
      const bool concerns = (event.is_end() && known) ||
                            (event.is_start() && (known || event.attributes.contains(kPortsLabel)));
      if (concerns && std::ranges::find(changed, event.container) == changed.end())
        changed.push_back(event.container);
    });
    for (const auto& id : changed) look_at(id);
    if (!more && client_) throw Error(Errc::engine_unavailable, "the engine has ended its stream of events");
  } catch (const Error& error) {
    lost(error);
  }
}

std::set<std::string> Watcher::labelled() {
  std::set<std::string> ids;
  for (const auto& container : engine::Containers(*client_).list({kPortsLabel}, engine_deadline()))
    ids.insert(container.id);
  return ids;
}

// These, and all that were dealt with before.
void Watcher::take_on_all(std::set<std::string> ids) {
  for (const auto& [id, entry] : entries_) ids.insert(id);
  for (const auto& id : ids) {
    if (!client_) return;
    look_at(id);
  }
}

void Watcher::look_at(const std::string& id) {
  if (!client_) return;
  try {
    deal(id, ask_for(id));
  } catch (const Error& error) {
    if (is_away(error)) {
      lost(error);
      return;
    }
    log::warn("container {}: {}", id.substr(0, kShortId), error.what());
  }
}

// nullopt also for one that is gone.
std::optional<Wanted> Watcher::ask_for(const std::string& id) {
  try {
    const auto container = client_->container(id, engine_deadline());
    if (!container.running || !container.labels.contains(kPortsLabel)) return std::nullopt;
    std::map<std::string, std::string> image_labels;
    if (!settings_.trust_images) image_labels = client_->image_labels(container.image_id, engine_deadline());
    auto wanted = wanted_by(container, image_labels,
                            {settings_.exposer.path, settings_.trust_images, settings_.allowance});
    return wanted ? with_links_refused(std::move(*wanted)) : wanted;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
}

void Watcher::deal(const std::string& id, const std::optional<Wanted>& wanted) {
  const auto entry = entries_.find(id);
  const bool known = entry != entries_.end();
  const auto step =
      next_step(wanted ? &*wanted : nullptr, known ? &entry->second.dealt : nullptr, WatchClock::now());
  if (step.release)
    release(id, entry->second, wanted ? "its container was restarted" : "its container has stopped");
  if (step.forget) entries_.erase(entry);
  if (!step.expose && !step.refuse) return;
  auto& next = entries_[id];
  if (next.dealt.run != wanted->run) next = {};
  next.name = wanted->name;
  next.dealt.run = wanted->run;
  if (step.refuse) {
    next.dealt.standing = Standing::refused;
    failed(*wanted, *wanted->fault);
  } else {
    // Should the engine be lost on the way, it is tried again when that is back.
    next.dealt.standing = Standing::waiting;
    next.dealt.again = WatchClock::now();
    expose(*wanted);
  }
}

void Watcher::expose(const Wanted& wanted) {
  auto& entry = entries_.at(wanted.id);
  try {
    entry.exposure = exposer_for(wanted.via).expose(request_for(wanted));
  } catch (const Error& error) {
    // One that is over already needs nothing, and no word of it.
    const auto now = client_ ? ask_for(wanted.id) : std::nullopt;
    if (client_ && (!now || now->run != wanted.run)) {
      entries_.erase(wanted.id);
      deal(wanted.id, now);
      return;
    }
    // The kernel knows of its end before the engine does. Of an engine whose processes are never here, the
    // next try tells.
    const bool ending = entry.failures == 0 && has_ended(wanted.run);
    if (!ending) failed(wanted, error);
    // No time mends what the request itself has wrong, as a container on the host's own network.
    if (error.code() == Errc::invalid_argument && !ending)
      entry.dealt.standing = Standing::refused;
    else
      try_again(wanted.id, entry);
    return;
  }
  entry.dealt.standing = Standing::held;
  entry.failures = 0;
  entry.last_fault.clear();
  settings_.on_event(event_of(Kind::exposed, wanted.id, entry));
  // It may have ended between then and now; its notice found no entry with its id, or is still to come.
  if (entry.exposure.state() != ExposureState::active)
    ended_->put({entry.exposure.id(), entry.exposure.state(), entry.exposure.reason()});
}

// Told once for each fault, however often it is tried.
void Watcher::failed(const Wanted& wanted, const Error& error) {
  auto& entry = entries_.at(wanted.id);
  if (std::exchange(entry.last_fault, error.what()) == error.what()) return;
  auto event = event_of(wanted.refused.empty() ? Kind::failed : Kind::refused, wanted.id, entry);
  event.ports = wanted.refused.empty() ? wanted.ports : wanted.refused;
  event.reason = error.what();
  event.hint = error.hint();
  settings_.on_event(event);
}

void Watcher::try_again(const std::string& id, Entry& entry) {
  const auto wait = backoff(++entry.failures, kFirstRetry, kLongestRetry);
  entry.dealt.standing = Standing::waiting;
  entry.dealt.again = WatchClock::now() + wait;
  loop_.after(wait, [this, id] {
    if (entries_.contains(id)) look_at(id);
  });
}

// Returns whether nothing of it is left.
bool Watcher::release(const std::string& id, Entry& entry, const std::string& reason) {
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

void Watcher::on_ended_leases() {
  for (const auto& notice : ended_->take()) {
    const auto found = std::ranges::find_if(entries_, [&](const auto& pair) {
      return pair.second.dealt.standing == Standing::held && pair.second.exposure.id() == notice.lease;
    });
    if (found == entries_.end()) continue;
    auto& [id, entry] = *found;
    const bool released = notice.state == ExposureState::released;
    auto event = event_of(released ? Kind::released : Kind::failed, id, entry);
    event.reason = notice.reason;
    entry.exposure = {};
    if (released)
      entry.dealt.standing = Standing::ended;
    else
      try_again(id, entry);
    settings_.on_event(event);
    // Mostly its container has stopped, and then there is nothing to be remembered.
    look_at(std::string(id));
  }
}

Exposer& Watcher::exposer_for(Path path) {
  auto& exposer = exposers_[path];
  if (!exposer) {
    auto options = settings_.exposer;
    options.path = path;
    exposer = make_exposer(std::move(options));
  }
  return *exposer;
}

WatchEvent Watcher::event_of(WatchEvent::Kind kind, const std::string& id, const Entry& entry) const {
  WatchEvent event;
  event.kind = kind;
  event.id = id.substr(0, kShortId);
  event.name = entry.name;
  event.lease = entry.exposure.id();
  event.via = entry.exposure.path();
  event.gateway = entry.exposure.gateway();
  event.interface = entry.exposure.interface();
  event.ports = entry.exposure.ports();
  return event;
}

}  // namespace hostnet::exposer
