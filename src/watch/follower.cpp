// Waits for the lease's end, the engine's events and the target's return.
#include "watch/follower.hpp"

#include "core/log.hpp"
#include "dbus/names.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/joined_names.hpp"
#include "lease/lease_id.hpp"
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

}  // namespace

bool was_asked_for(const std::string& reason) {
  return reason == kTimeIsUp || reason == kReleasedElsewhere || reason == dbus::reason::kRevoked ||
         reason == dbus::reason::kReleased || reason == dbus::reason::kExpired;
}

state::TunnelRecord waiting_record(const ExposeRequest& request, const Exposure& lease, std::string reason,
                                   state::TunnelRecord before) {
  if (before.id != lease.id() || before.created == 0) before.created = std::time(nullptr);
  before.via = BehindExposure::via(lease);
  before.id = lease.id();
  before.target = request.target.to_string();
  before.label = request.label;
  before.network.clear();  // which one it will be is known when the target is back
  before.ports = lease.ports();
  before.stats.state = state::kWaiting;
  before.stats.reason = std::move(reason);
  return before;
}

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
  id_ = new_lease_id();
  set_mark();
  try {
    make(settings_.order, settings_.request);
  } catch (...) {
    remove_marks();
    throw;
  }
}

Follower::~Follower() { remove_marks(); }

engine::Client Follower::engine() const {
  return engine::Client(engine::Address::find(settings_.exposer.engine));
}

void Follower::become_owner() {
  if (owner_) return;
  const auto locked = store_.lock();  // not longer: a record is saved under the same lock
  owner_.emplace(store_.folder());
  waiting_.owner = owner_->id();
  waiting_.engine = engine::Address::find(settings_.exposer.engine).text();
}

// Without a mark, as in a folder that cannot be written, the lease follows all the same.
void Follower::set_mark() {
  if (settings_.once || !is_of_engine(settings_.request.target)) return;
  try {
    become_owner();
    state::TunnelRecord record;
    record.via = (settings_.order.empty() ? paths().front() : settings_.order.front())->name;
    record.id = new_lease_id();
    record.follows = id_;
    record.target = settings_.request.target.to_string();
    record.owner = waiting_.owner;
    record.engine = waiting_.engine;
    record.created = std::time(nullptr);
    record.stats.state = state::kFollowing;
    store_.save(record);
    mark_ = std::move(record);
  } catch (const Error& error) {
    log::debug("a release of all leases cannot find this one while its target goes: {}", error.what());
  }
}

// The helper numbers its leases itself.
void Follower::rename_mark() {
  if (mark_.id.empty() || mark_.follows == id_ || is_revoked()) return;
  mark_.follows = id_;
  try {
    store_.save(mark_);
  } catch (const Error& error) {
    log::debug("{}", error.what());
  }
}

void Follower::remove_marks() noexcept {
  if (!owner_) return;
  if (away_) store_.remove(waiting_.id);
  if (!mark_.id.empty()) store_.remove(mark_.id);
  owner_.reset();
  store_.tidy();
}

bool Follower::is_revoked() const { return !mark_.id.empty() && !store_.contains(mark_.id); }

void Follower::make(const PathOrder& order, const ExposeRequest& request) {
  auto exposer = make_exposer_by(paths(), order, settings_.exposer);
  const ContinuedLease continued(id_);
  exposure_ = exposer->expose(request);
  exposer_ = std::move(exposer);
  id_ = exposure_.id();
  rename_mark();
  if (request.target.kind() != Target::Kind::network || settings_.once) return;
  try {
    network_id_ = engine().network(request.target.name(), Deadline::after(kLook)).id;
  } catch (const Error& error) {
    log::debug("network {}: {}", request.target.name(), error.what());
  }
}

// A tunnel or a rule can fail while its target is as before: then the end is real.
bool Follower::target_is_another() const {
  const auto& target = settings_.request.target;
  try {
    auto client = engine();
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
  if (is_revoked()) return revoked();
  for (;;) {
    if (!away_ && wants_events() && !stream_ && steady_clock::now() >= next_connect_) connect();
    std::array<pollfd, 3> fds{
        {{stop_fd, POLLIN, 0}, {ended_->get(), POLLIN, 0}, {stream_ ? stream_->fd() : -1, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(patience().count())) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    if ((fds[0].revents & POLLIN) != 0) {
      if (!away_ && exposure_.state() == ExposureState::active) exposure_.release();
      return {.state = ExposureState::released, .lease = id_, .reason = "released"};
    }
    // An end counts once it is told: before that, the lease may still be removing what it made, with its record.
    const bool told = (fds[1].revents & POLLIN) != 0;
    if (told) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(ended_->get(), &count, sizeof count);
    }
    if (told && !away_ && exposure_.state() != ExposureState::active) {
      if (auto end = after_end()) return *end;
    }
    if (away_) {
      if (auto end = away_step()) return *end;
    } else if (fds[2].revents != 0) {
      read_events();
    }
  }
}

// Releases a lease that was made while another process released it.
Follower::End Follower::revoked() {
  if (!away_ && exposure_.state() == ExposureState::active) exposure_.release();
  return {.lease = id_, .reason = kReleasedElsewhere};
}

// Containers that start on the network get the alias; the end of a container ends its lease, which may look in
// periods only.
bool Follower::wants_events() const {
  if (settings_.once) return false;
  const auto kind = settings_.request.target.kind();
  return kind == Target::Kind::container || (kind == Target::Kind::network && settings_.request.write_alias);
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
  // After the record is there: a release removes the mark, then looks for records.
  if (is_revoked()) return revoked();
  settings_.on_away(id_, reason);
  return std::nullopt;
}

std::optional<Follower::End> Follower::over_while_away() const {
  // The mark counts as well: an attempt that fails writes the record again, which a release may just have removed.
  if (is_revoked() || !store_.contains(id_)) return End{.lease = id_, .reason = kReleasedElsewhere};
  if (expires_ && std::chrono::system_clock::now() >= *expires_)
    return End{.lease = id_, .reason = kTimeIsUp};
  return std::nullopt;
}

std::optional<Follower::End> Follower::away_step() {
  if (auto end = over_while_away()) return end;
  auto request = settings_.request;
  if (expires_)
    request.timeout =
        std::max(std::chrono::ceil<std::chrono::seconds>(*expires_ - std::chrono::system_clock::now()),
                 std::chrono::seconds{1});
  const auto* const path = find_path(paths(), waiting_.via);
  try {
    // A look first: making a lease for a target that is away would log what is missing.
    auto client = engine();
    if (request.target.kind() == Target::Kind::container) {
      if (!client.container(request.target.name(), Deadline::after(kLook)).running) return std::nullopt;
    } else {
      static_cast<void>(client.network(request.target.name(), Deadline::after(kLook)));
    }
    make(path == nullptr ? PathOrder{} : PathOrder{path}, request);
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
    return End{ExposureState::failed, id_,
               fmt::format("{} is back, but the lease cannot be made again: {}", request.target.to_string(),
                           error.what()),
               false};
  }
  away_ = false;
  // On the ssh path the lease's own record has replaced this one.
  if (id_ != waiting_.id || path == nullptr || path->describe == nullptr) store_.remove(waiting_.id);
  if (is_revoked()) return revoked();
  settings_.on_back(exposure_);
  return std::nullopt;
}

// The reason may be the record's own.
void Follower::save_waiting(std::string reason) {
  try {
    become_owner();
    waiting_ = waiting_record(settings_.request, exposure_, std::move(reason), std::move(waiting_));
    if (expires_) waiting_.expires = std::chrono::system_clock::to_time_t(*expires_);
    store_.save(waiting_);
  } catch (const Error& error) {
    log::warn("lease {} waits without a record: {}", id_, error.what());
  }
}

// Events that came while no stream was open are in the new one: it begins where the old one ended.
void Follower::connect() {
  next_connect_ = steady_clock::now() + kLater;
  try {
    stream_.emplace(engine().events(seen_until_, Deadline::after(kLook)));
  } catch (const Error& error) {
    log::debug("the engine's events are not read: {}", error.what());
  }
}

void Follower::read_events() {
  std::vector<std::string> moved;
  bool ended = false;
  try {
    const bool more = stream_->read([&](const engine::Event& event) {
      if (settings_.request.target.kind() == Target::Kind::container) {
        const bool is_its = (event.is_end() || event.is_move()) && is_of_target(event);
        ended = ended || (is_its && event.is_end());
        if (is_its && event.is_move()) moved = {event.container};
        return;
      }
      const bool moves_here = event.is_move() && (event.network.empty() || event.network == network_id_);
      if (!(event.is_start() || moves_here) || event.attributes.contains(kLeaseLabel)) return;
      if (std::ranges::find(moved, event.container) == moved.end()) moved.push_back(event.container);
    });
    seen_until_ = std::time(nullptr);
    if (!more) stream_.reset();
  } catch (const Error& error) {
    log::debug("the engine's events are not read: {}", error.what());
    stream_.reset();
  }
  auto* const names = dynamic_cast<JoinedNames*>(BehindExposure::of(exposure_));
  if (names == nullptr) return;
  if (ended) names->look_now();
  for (const auto& container : moved) look_at(container, *names);
}

// By name or by the beginning of the id, as the user may have given it.
bool Follower::is_of_target(const engine::Event& event) const {
  const auto& name = settings_.request.target.name();
  return event.name == name || event.container.starts_with(name);
}

// Goes by what the engine says now: events may be late. Podman writes a container's hosts file anew when it leaves any
// network, and drops our mark.
void Follower::look_at(const std::string& id, JoinedNames& names) {
  std::string called = id.substr(0, 12);
  try {
    const auto container = engine().container(id, Deadline::after(kLook));
    called = container.name;
    const auto& name = settings_.request.target.name();
    const bool is_target = settings_.request.target.kind() == Target::Kind::container;
    const bool on_it =
        is_target || std::ranges::any_of(container.endpoints, [&](const engine::Endpoint& endpoint) {
          return endpoint.network_id == network_id_ || endpoint.network == name;
        });
    if (!container.running || container.labels.contains(kLeaseLabel)) return;
    if (on_it)
      names.take_in(container, Deadline::after(kLook));
    else
      names.let_go(container, Deadline::after(kLook));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found)
      log::warn("the hosts file of container {} stays as it is: {}", called, error.what());
  }
}

}  // namespace hostnet::exposer
