// Follows the engine and gives the work on its containers to the workers.
//
//   state             stream_  away_   left by
//   connecting        none     false   job of connect(): reached() or lost()
//   connected         set      false   lost(): stream ends, a job finds the engine away, or list() fails
//   away              none     true    connect() after the back-off, then reached()
//   ending            any      any     finish() returns. Ignores results of connect() and list(); releases
//                                      a busy container when its job is back
//
//   a container       idle: entry is the loop's; busy: entry is its job's. An event while busy sets `again`;
//                     settled() then looks at the container once more.
//
//   event                       effect
//   start or end of container   look_at(): a job deals with it
//   list_period (60 s)          list(): look_at() for all labelled and all known containers
//   lease ended by itself       on_ended_leases(): a job records it and, if connected, deals with it
//   retry is due                look_at()
//   engine reached              `engine-back` after a loss; look_at() for all; the first time, `watching`
//                               once all their jobs are back
//   engine lost                 `engine-lost`, once; connect() after the back-off
//   first connect gives         the error leaves EventLoop::run()
//   not_authorised or
//   invalid_argument
//
//   limit              value           of
//   kFirstReconnect    200 ms          wait after the first loss; doubles with each further one
//   kLongestReconnect  10 s            longest wait before a reconnect; there is no last try
//   kSteady            30 s            a connection that lasted longer resets the back-off
//   kWorkers           4 threads       at the end 4 more
//   watch_deadline()   10 s            one call of the engine
//   kEngineAtEnd       3 s             engine requests in finish(), after the last progress
//   kEnginePatience    5 s             finish() itself, after the last progress; then End::stuck
//
// The loop's thread owns all members except busy entries. Outside finish() and survey() it waits for nothing
// but on_event. It takes only the workers' and EndedLeases' mutexes, for queue operations.
#include "watch/watcher.hpp"

#include "core/fd.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "engine/cutoff.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;
using Kind = WatchEvent::Kind;

constexpr auto kFirstReconnect = 200ms;
constexpr auto kLongestReconnect = 10s;
constexpr auto kSteady = 30s;
// Up to three slow containers do not delay the others. finish() allows as many threads again, for the
// releases.
constexpr std::size_t kWorkers = 4;
// In finish(), since the last progress: limit of engine requests, and of finish() itself.
constexpr auto kEngineAtEnd = 3s;
constexpr auto kEnginePatience = 5s;

// Whether the engine is away, as opposed to rejecting a request.
bool is_away(const Error& error) {
  return error.code() == Errc::engine_unavailable || error.code() == Errc::timed_out;
}

bool is_held(const Applier::Entry& entry) { return entry.dealt && entry.dealt->standing == Standing::held; }

std::set<std::string> labelled(engine::Client& client) {
  std::set<std::string> ids;
  for (const auto& container : engine::Containers(client).list({kPortsLabel}, watch_deadline()))
    ids.insert(container.id);
  return ids;
}

// All running containers. They only serve to report labels, so an engine that does not tell is no failure.
std::vector<engine::ContainerSummary> running_now(engine::Client& client) {
  try {
    auto all = engine::Containers(client).list({}, watch_deadline());
    std::erase_if(all, [](const auto& container) { return container.state != "running"; });
    return all;
  } catch (const Error& error) {
    log::debug("the labels of all containers: {}", error.what());
    return {};
  }
}

}  // namespace

// Result of a connection attempt.
struct Watcher::Reached {
  std::optional<engine::EventStream> stream;
  std::set<std::string> ids;
  std::vector<engine::ContainerSummary> running;  // for their labels
};

Watcher::Watcher(EventLoop& loop, Settings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      address_(engine::Address::find(settings_.exposer.engine)),
      ended_(std::make_shared<Mailbox<EndedLease>>()),
      applier_(
          [this] {
            auto job_settings = settings_;
            job_settings.on_event = [this](const WatchEvent& event) {
              workers_.tell([this, event] { settings_.on_event(event); });
            };
            return job_settings;
          }(),
          address_, [ended = ended_](EndedLease lease) { ended->put(std::move(lease)); }),
      workers_(loop, kWorkers) {
  loop_.add(ended_->fd(), EPOLLIN, [this](std::uint32_t) { on_ended_leases(); });
}

Watcher::~Watcher() {
  if (stream_) loop_.remove(stream_->fd());
  loop_.remove(ended_->fd());
}

void Watcher::start() {
  connect();
  loop_.every(settings_.list_period, [this] { list(); });
}

// Runs `work` in a worker; then `done`, with the error that `work` threw, in the loop's thread.
void Watcher::run(std::function<void()> work, std::function<void(const std::optional<Error>&)> done) {
  workers_.post([this, work = std::move(work), done = std::move(done)] {
    std::optional<Error> thrown;
    try {
      work();
    } catch (const Error& error) {
      thrown = error;
    } catch (const std::exception& error) {
      thrown.emplace(Errc::failure, error.what());
    }
    workers_.tell([this, done, thrown] {
      --jobs_;
      done(thrown);
    });
  });
  ++jobs_;
}

Watcher::End Watcher::finish() {
  ending_ = true;
  applier_.end();
  got_on();
  workers_.allow(kWorkers);
  std::vector<std::string> ids;
  for (const auto& [id, container] : containers_)
    if (!container.busy) ids.push_back(id);
  for (const auto& id : ids) release_at_end(id);
  while (jobs_ > 0 && !patience_.expired()) workers_.read(patience_);
  end_.stuck = jobs_ > 0;
  if (!end_.stuck) engine::end_requests_at(Deadline::never());
  return end_;
}

// Restarts both limits of finish() at each progress: an engine that keeps answering gets all the time it
// needs.
void Watcher::got_on() {
  engine::end_requests_at(Deadline::after(kEngineAtEnd));
  patience_ = Deadline::after(kEnginePatience);
}

void Watcher::release_at_end(const std::string& id) {
  auto& container = containers_.at(id);
  if (!is_held(container.entry)) return;
  got_on();  // its expose may just have finished, which is progress
  container.busy = true;
  const auto clean = std::make_shared<bool>(false);
  run([this, id, &entry = container.entry, clean] { *clean = applier_.release(id, entry, "watch ends"); },
      [this, clean](const std::optional<Error>&) {
        if (*clean)
          got_on();
        else
          ++end_.failures;
      });
}

std::vector<Wanted> Watcher::survey() {
  engine::Client client(address_);
  std::vector<Wanted> all;
  for (const auto& id : labelled(client))
    if (auto wanted = applier_.ask_for(client, id)) all.push_back(std::move(*wanted));
  for (const auto& container : running_now(client))
    tell_near_label(container.id, container.name, container.labels);
  return all;
}

void Watcher::connect() {
  const auto engine = std::make_shared<Reached>();
  run(
      [this, engine] {
        engine::Client client(address_);
        // Events first: a start between the two calls is then in the stream and in the list.
        engine->stream.emplace(client.events(std::time(nullptr), watch_deadline()));
        engine->ids = labelled(client);
        engine->running = running_now(client);
      },
      [this, engine](const std::optional<Error>& error) {
        if (ending_) return;
        if (!error) return reached(*engine);
        const bool for_good =
            error->code() == Errc::not_authorised || error->code() == Errc::invalid_argument;
        if (for_good && !away_ && !announced_) throw Error(*error);
        lost(*error);
      });
}

void Watcher::reached(Reached& engine) {
  ++connection_;
  stream_.emplace(std::move(*engine.stream));
  loop_.add(stream_->fd(), EPOLLIN, [this](std::uint32_t) { on_events(); });
  reached_ = WatchClock::now();
  if (std::exchange(away_, false)) {
    WatchEvent event;
    event.kind = Kind::engine_back;
    event.engine = address_.socket;
    settings_.on_event(event);
  }
  for (const auto& container : engine.running)
    tell_near_label(container.id, container.name, container.labels);
  take_on_all(engine.ids);
  taking_on_ = std::move(engine.ids);
  taken_on({});
}

// Marks a container as handled. Emits `watching` after the last one that ran at the first connect.
void Watcher::taken_on(const std::string& id) {
  taking_on_.erase(id);
  if (!stream_ || !taking_on_.empty() || std::exchange(announced_, true)) return;
  WatchEvent event;
  event.kind = Kind::watching;
  event.engine = address_.socket;
  settings_.on_event(event);
}

void Watcher::lost(const Error& error) {
  if (stream_) loop_.remove(stream_->fd());
  stream_.reset();
  // The back-off also grows for an engine that answers and goes away again and again.
  losses_ = !away_ && WatchClock::now() - reached_ > kSteady ? 1 : losses_ + 1;
  if (!std::exchange(away_, true)) {
    WatchEvent event;
    event.kind = Kind::engine_lost;
    event.engine = address_.socket;
    event.reason = error.what();
    event.hint = error.hint();
    settings_.on_event(event);
  }
  loop_.after(backoff(losses_, kFirstReconnect, kLongestReconnect), [this] { connect(); });
}

void Watcher::on_events() {
  std::vector<std::string> changed;
  try {
    const bool more = stream_->read([&](const engine::Event& event) {
      const bool known = containers_.contains(event.container);
      if (event.is_start()) {
        const auto name = event.attributes.find("name");
        tell_near_label(event.container,
                        name != event.attributes.end() ? name->second : event.container.substr(0, 12),
                        event.attributes);
      }
      const bool concerns = (event.is_end() && known) ||
                            (event.is_start() && (known || event.attributes.contains(kPortsLabel)));
      if (concerns && std::ranges::find(changed, event.container) == changed.end())
        changed.push_back(event.container);
    });
    for (const auto& id : changed) look_at(id);
    if (!more) throw Error(Errc::engine_unavailable, "the engine has ended its stream of events");
  } catch (const Error& error) {
    lost(error);
  }
}

// A label that looks like ours has no effect; without a word, the user would look for the fault elsewhere.
void Watcher::tell_near_label(const std::string& id, const std::string& name,
                              const std::map<std::string, std::string>& labels) {
  constexpr std::size_t most = 10'000;
  const auto near = near_label(labels);
  if (!near || ending_ || told_labels_.size() >= most || !told_labels_.insert(id).second) return;
  WatchEvent event;
  event.kind = Kind::unknown_label;
  event.id = id.substr(0, 12);
  event.name = name;
  event.reason = fmt::format("label {} has no effect", quote(near->written));
  event.hint = fmt::format("did you mean {}?", near->meant);
  settings_.on_event(event);
}

void Watcher::list() {
  if (!stream_ || ending_) return;
  const auto ids = std::make_shared<std::set<std::string>>();
  run(
      [this, ids] {
        engine::Client client(address_);
        *ids = labelled(client);
      },
      [this, ids, connection = connection_](const std::optional<Error>& error) {
        if (ending_ || !stream_ || connection != connection_) return;
        if (error)
          lost(*error);
        else
          take_on_all(std::move(*ids));
      });
}

// Looks at these containers and at all known ones.
void Watcher::take_on_all(std::set<std::string> ids) {
  for (const auto& [id, container] : containers_) ids.insert(id);
  for (const auto& id : ids) look_at(id);
}

void Watcher::look_at(const std::string& id) {
  if (!stream_ || ending_) return;
  settle(id, [this, id](Applier::Entry& entry) { applier_.deal(id, entry); });
}

// Its name, if it was asked for already.
std::string Watcher::called(const std::string& id) const {
  const auto found = containers_.find(id);
  return found == containers_.end() || found->second.entry.name.empty() ? id.substr(0, 12)
                                                                        : found->second.entry.name;
}

// Runs `work` on a container in a worker. If a job is already at it, drops `work` and looks at the container
// again after that job.
void Watcher::settle(const std::string& id, std::function<void(Applier::Entry&)> work) {
  auto& container = containers_[id];
  if (container.busy) {
    container.again = true;
    return;
  }
  container.busy = true;
  run([work = std::move(work), &entry = container.entry] { work(entry); },
      [this, id, connection = connection_](const std::optional<Error>& error) {
        containers_.at(id).busy = false;
        if (ending_) return release_at_end(id);
        const bool away = error && is_away(*error);
        if (away && stream_ && connection == connection_)
          lost(*error);
        else if (error && !away)
          log::warn("container {}: {}", called(id), error->what());
        settled(id);
      });
}

void Watcher::settled(const std::string& id) {
  auto& container = containers_.at(id);
  const auto& dealt = container.entry.dealt;
  if (dealt && dealt->standing == Standing::waiting && dealt->again != container.timer) {
    container.timer = dealt->again;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(dealt->again - WatchClock::now());
    loop_.after(std::max(wait, 0ms), [this, id] {
      if (containers_.contains(id)) look_at(id);
    });
  }
  if (std::exchange(container.again, false)) look_at(id);
  if (!container.busy && !dealt) containers_.erase(id);
  taken_on(id);
  on_ended_leases();  // its lease may have ended during the job
}

void Watcher::on_ended_leases() {
  while (auto lease = ended_->next()) ended_early_.push_back(std::move(*lease));
  bool any_busy = false;
  for (const auto& [id, container] : containers_) any_busy |= container.busy;
  for (auto& lease : std::exchange(ended_early_, {})) {
    const auto found = std::ranges::find_if(containers_, [&](const auto& pair) {
      const auto& container = pair.second;
      return !container.busy && is_held(container.entry) && container.entry.exposure.id() == lease.lease;
    });
    if (found == containers_.end()) {
      // The lease may belong to a busy container: keep it until the job is back.
      if (any_busy) ended_early_.push_back(std::move(lease));
      continue;
    }
    const auto& id = found->first;
    // Most often the container has stopped: deal() then forgets the entry.
    settle(id, [this, id, lease, look = stream_.has_value()](Applier::Entry& entry) {
      applier_.ended(id, entry, lease);
      if (look) applier_.deal(id, entry);
    });
  }
}

}  // namespace hostnet::exposer
