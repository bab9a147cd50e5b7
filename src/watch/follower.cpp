// Waits for the lease's end, the engine's events and the target's return.
#include "watch/follower.hpp"

#include "core/log.hpp"
#include "dbus/names.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/joined_names.hpp"
#include "lease/lease_id.hpp"
#include "path/paths.hpp"
#include "path/select.hpp"
#include "target/alias_holders.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kSoon = 250ms;
constexpr auto kLater = 1s;
constexpr auto kSoonFor = 10s;
constexpr auto kStubborn = 10s;
constexpr auto kLook = 5s;

constexpr const char* kTimeIsUp = "its time is up";
constexpr const char* kReleasedElsewhere = "released by another process";

bool is_of_engine(const Target& target) {
  return target.kind() == Target::Kind::container || target.kind() == Target::Kind::network;
}

// What a target that is not back yet, or an engine that starts, gives.
bool is_not_yet(Errc code) {
  return code == Errc::not_found || code == Errc::no_path || code == Errc::engine_unavailable;
}

bool was_asked_for(const std::string& reason) {
  return reason == kTimeIsUp || reason == kReleasedElsewhere || reason == dbus::reason::kRevoked ||
         reason == dbus::reason::kReleased || reason == dbus::reason::kExpired;
}

}  // namespace

bool may_follow(ExposureState state, const std::string& reason) {
  if (state == ExposureState::failed) return true;
  return reason.starts_with("its container has ") || reason == dbus::reason::kContainerGone;
}

Follower::Follower(Settings settings)
    : settings_(std::move(settings)),
      ended_(std::make_shared<Fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      store_(settings_.exposer.runtime_dir) {
  if (!*ended_) throw Error::from_errno("eventfd", errno);
  settings_.exposer.on_state = [ended = ended_](const std::string&, ExposureState, const std::string&) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(ended->get(), &one, sizeof one);
  };
  if (settings_.request.timeout) expires_ = std::chrono::system_clock::now() + *settings_.request.timeout;
  seen_until_ = std::time(nullptr);
  make(settings_.path, settings_.request);
}

Follower::~Follower() = default;

void Follower::make(const PathDriver* path, const ExposeRequest& request) {
  auto exposer = make_exposer_by(paths(), path, settings_.exposer);
  exposure_ = exposer->expose(request);
  exposer_ = std::move(exposer);
  id_ = exposure_.id();
  if (request.target.kind() != Target::Kind::network || settings_.once) return;
  try {
    engine::Client client(engine::Address::find(settings_.exposer.engine));
    network_id_ = client.network(request.target.name(), Deadline::after(kLook)).id;
  } catch (const Error& error) {
    log::debug("network {}: {}", request.target.name(), error.what());
  }
}

// A tunnel or a rule can fail while its target is as before: then the end is real.
bool Follower::target_is_another() const {
  const auto& target = settings_.request.target;
  try {
    engine::Client client(engine::Address::find(settings_.exposer.engine));
    if (target.kind() == Target::Kind::container)
      return !client.container(target.name(), Deadline::after(kLook)).running;
    return client.network(target.name(), Deadline::after(kLook)).id != network_id_;
  } catch (const Error& error) {
    return is_not_yet(error.code());
  }
}

bool Follower::follows() const {
  if (settings_.once || !is_of_engine(settings_.request.target)) return false;
  const auto reason = exposure_.reason();
  if (!may_follow(exposure_.state(), reason)) return false;
  const bool bridge_gone = reason.ends_with(" is gone") || reason == dbus::reason::kInterfaceGone;
  return exposure_.state() != ExposureState::failed || bridge_gone || target_is_another();
}

Follower::End Follower::run(int stop_fd) {
  for (;;) {
    if (!away_ && wants_events() && !stream_ && steady_clock::now() >= next_connect_) connect();
    std::array<pollfd, 3> fds{
        {{stop_fd, POLLIN, 0}, {ended_->get(), POLLIN, 0}, {stream_ ? stream_->fd() : -1, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(patience().count())) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    if ((fds[0].revents & POLLIN) != 0) {
      forget_waiting();
      if (!away_ && exposure_.state() == ExposureState::active) exposure_.release();
      return {.state = ExposureState::released, .lease = id_, .reason = "released"};
    }
    if ((fds[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(ended_->get(), &count, sizeof count);
    }
    if (!away_ && exposure_.state() != ExposureState::active) {
      if (auto end = after_end()) return *end;
    }
    if (away_) {
      if (auto end = away_step()) return *end;
    } else if (fds[2].revents != 0) {
      read_events();
    }
  }
}

// Containers that start on the network get the alias.
bool Follower::wants_events() const {
  return !settings_.once && settings_.request.write_alias &&
         settings_.request.target.kind() == Target::Kind::network;
}

std::chrono::milliseconds Follower::patience() const {
  if (away_) return steady_clock::now() - away_since_ < kSoonFor ? kSoon : kLater;
  return wants_events() && !stream_ ? kLater : std::chrono::milliseconds{60'000};
}

std::optional<Follower::End> Follower::after_end() {
  const auto reason = exposure_.reason();
  if (!follows())
    return End{exposure_.state(), id_, reason,
               exposure_.state() == ExposureState::released && was_asked_for(reason)};
  away_ = true;
  away_since_ = steady_clock::now();
  stubborn_since_.reset();
  stream_.reset();
  seen_until_ = std::time(nullptr);
  save_waiting(reason);
  settings_.on_away(id_, reason);
  return std::nullopt;
}

std::optional<Follower::End> Follower::over_while_away() const {
  if (!store_.contains(id_)) return End{.lease = id_, .reason = kReleasedElsewhere};
  if (expires_ && std::chrono::system_clock::now() >= *expires_)
    return End{.lease = id_, .reason = kTimeIsUp};
  return std::nullopt;
}

std::optional<Follower::End> Follower::away_step() {
  if (auto end = over_while_away()) {
    forget_waiting();
    return end;
  }
  auto request = settings_.request;
  if (expires_)
    request.timeout =
        std::max(std::chrono::ceil<std::chrono::seconds>(*expires_ - std::chrono::system_clock::now()),
                 std::chrono::seconds{1});
  const auto* const path = find_path(paths(), waiting_.via);
  try {
    // A look first: making a lease for a target that is away would log what is missing.
    engine::Client client(engine::Address::find(settings_.exposer.engine));
    if (request.target.kind() == Target::Kind::container) {
      if (!client.container(request.target.name(), Deadline::after(kLook)).running) return std::nullopt;
    } else {
      static_cast<void>(client.network(request.target.name(), Deadline::after(kLook)));
    }
    const ContinuedLease continued(id_);
    make(path, request);
  } catch (const Error& error) {
    save_waiting(waiting_.stats.reason);  // a failed setup has removed the record
    log::debug("lease {} waits: {}", id_, error.what());
    if (is_not_yet(error.code())) {
      stubborn_since_.reset();
      return std::nullopt;
    }
    const auto now = steady_clock::now();
    if (!stubborn_since_) stubborn_since_ = now;
    if (now - *stubborn_since_ < kStubborn) return std::nullopt;
    forget_waiting();
    return End{ExposureState::failed, id_,
               fmt::format("{} is back, but the lease cannot be made again: {}", request.target.to_string(),
                           error.what()),
               false};
  }
  away_ = false;
  // On the ssh path the lease's own record has replaced this one.
  if (id_ != waiting_.id || path == nullptr || path->describe == nullptr) store_.remove(waiting_.id);
  owner_.reset();
  settings_.on_back(exposure_);
  return std::nullopt;
}

void Follower::save_waiting(const std::string& reason) {
  try {
    if (!owner_) {
      const auto locked = store_.lock();
      owner_.emplace(store_.folder());
    }
    if (waiting_.id != id_ || waiting_.created == 0) waiting_.created = std::time(nullptr);
    waiting_.via = BehindExposure::via(exposure_);
    waiting_.id = id_;
    waiting_.target = settings_.request.target.to_string();
    waiting_.label = settings_.request.label;
    waiting_.owner = owner_->id();
    waiting_.engine = engine::Address::find(settings_.exposer.engine).text();
    waiting_.network = exposure_.interface();
    waiting_.ports = exposure_.ports();
    if (expires_) waiting_.expires = std::chrono::system_clock::to_time_t(*expires_);
    waiting_.stats.state = state::kWaiting;
    waiting_.stats.reason = reason;
    store_.save(waiting_);
  } catch (const Error& error) {
    log::warn("lease {} waits without a record: {}", id_, error.what());
  }
}

void Follower::forget_waiting() {
  if (!owner_) return;
  store_.remove(waiting_.id);
  owner_.reset();
  store_.tidy();
}

// Events that came while no stream was open are in the new one: it begins where the old one ended.
void Follower::connect() {
  next_connect_ = steady_clock::now() + kLater;
  try {
    engine::Client client(engine::Address::find(settings_.exposer.engine));
    stream_.emplace(client.events(seen_until_, Deadline::after(kLook)));
  } catch (const Error& error) {
    log::debug("the engine's events are not read: {}", error.what());
  }
}

void Follower::read_events() {
  std::vector<std::string> started;
  try {
    const bool more = stream_->read([&](const engine::Event& event) {
      if (!event.is_start() || event.attributes.contains(kLeaseLabel)) return;
      if (std::ranges::find(started, event.container) == started.end()) started.push_back(event.container);
    });
    seen_until_ = std::time(nullptr);
    if (!more) stream_.reset();
  } catch (const Error& error) {
    log::debug("the engine's events are not read: {}", error.what());
    stream_.reset();
  }
  for (const auto& container : started) take_in(container);
}

void Follower::take_in(const std::string& id) {
  auto* const names = dynamic_cast<JoinedNames*>(BehindExposure::of(exposure_));
  if (names == nullptr) return;
  try {
    engine::Client client(engine::Address::find(settings_.exposer.engine));
    const auto container = client.container(id, Deadline::after(kLook));
    const auto& name = settings_.request.target.name();
    const bool on_it = std::ranges::any_of(container.endpoints, [&](const engine::Endpoint& endpoint) {
      return endpoint.network_id == network_id_ || endpoint.network == name;
    });
    if (container.running && on_it) names->take_in(container, Deadline::after(kLook));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found)
      log::warn("{} is not written into container {}: {}", kAlias, id.substr(0, 12), error.what());
  }
}

}  // namespace hostnet::exposer
