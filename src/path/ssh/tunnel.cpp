// Connects, runs and restores the lanes.
#include "path/ssh/tunnel.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"

#include <sched.h>

#include <algorithm>
#include <utility>

namespace hostnet::ssh {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1'000};
// Limits of the first and of a later attempt to restore a session. A restarting sidecar needs half a second,
// but close() may have to wait for the end of an attempt.
constexpr milliseconds kFirstAttempt{1'000};
constexpr milliseconds kLongestAttempt{5'000};

// Sets SCHED_BATCH, sched(7), for the calling thread: on busy processors it does not preempt the services and
// the sidecar at each of their writes, so that more data waits when it runs. An idle processor runs it at
// once, as before. Needs no privilege; ignores a refusal.
void prefer_throughput() {
  if (::sched_getscheduler(0) != SCHED_OTHER) return;  // the program chose another policy
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace

const char* to_string(TunnelState state) noexcept {
  switch (state) {
    case TunnelState::connecting:
      return "connecting";
    case TunnelState::up:
      return "up";
    case TunnelState::reconnecting:
      return "reconnecting";
    case TunnelState::failed:
      return "failed";
  }
  return "failed";
}

struct Tunnel::Lane {
  std::vector<std::uint16_t> ports;
  TunnelState state = TunnelState::connecting;  // guarded by mutex_, as is the pointer `pump`
  std::unique_ptr<Session> session;
  std::unique_ptr<Pump> pump;
  std::jthread thread;
};

Tunnel::Tunnel(TunnelSettings settings, Deadline deadline)
    : settings_(std::move(settings)), policy_(settings_.services, settings_.sources, settings_.barred) {
  Libssh::get();  // reports a missing library before a lane starts
  const auto count =
      std::clamp<std::size_t>(settings_.services.size(), 1, std::max(1U, settings_.most_lanes));
  for (std::size_t i = 0; i < count; ++i) lanes_.push_back(std::make_unique<Lane>());
  std::size_t next = 0;
  for (const auto& [port, service] : settings_.services) lanes_[next++ % count]->ports.push_back(port);
  try {
    for (const auto& lane : lanes_)
      lane->thread = start_thread("tchn-ssh", [this, &lane = *lane, deadline] { run_lane(lane, deadline); });
    std::unique_lock lock(mutex_);
    const auto all_up = [&] {
      return std::ranges::all_of(lanes_, [](const auto& lane) { return lane->state == TunnelState::up; });
    };
    const auto none_connects = [&] {
      return std::ranges::none_of(lanes_,
                                  [](const auto& lane) { return lane->state == TunnelState::connecting; });
    };
    changed_.wait_for(lock, deadline.remaining(), [&] { return first_error_ || all_up(); });
    // Wait on: a lane that connects for the first time has the same deadline, and its error says what it
    // waited for. A lane that lost its session and reconnects has no such deadline.
    changed_.wait(lock, [&] { return first_error_ || none_connects(); });
    if (first_error_) throw Error(*first_error_);
    if (!all_up())
      throw Error(Errc::timed_out,
                  fmt::format("ssh: a session with the sidecar was lost during the setup: {}", reason_));
  } catch (...) {
    close();
    throw;
  }
}

Tunnel::~Tunnel() { close(); }

void Tunnel::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& lane : lanes_)
      if (lane->pump) lane->pump->stop();
  }
  changed_.notify_all();
  const std::lock_guard lock(joining_);  // a second caller returns when the first is done
  for (const auto& lane : lanes_)
    if (lane->thread.joinable()) lane->thread.join();
}

void Tunnel::connect_lane(Lane& lane, Deadline deadline) {
  const auto start = std::chrono::steady_clock::now();
  std::chrono::microseconds dialled{0};
  std::unique_ptr<Session> session;
  settings_.dial(deadline, [&](Fd connection, Deadline handshake) {
    dialled = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    session = std::make_unique<Session>(std::move(connection),
                                        Identity{.client = settings_.client,
                                                 .host_key = settings_.host_key,
                                                 .before_login = settings_.before_login},
                                        deadline, handshake);
  });
  for (const auto port : lane.ports) session->listen(port, deadline);
  auto pump = std::make_unique<Pump>(*session, policy_, counters_);
  const std::lock_guard lock(mutex_);
  cipher_ = session->cipher();
  if (lane.state == TunnelState::connecting) {
    times_.dial = std::max(times_.dial, dialled);
    times_.handshake = std::max(times_.handshake, session->times().handshake);
    times_.login = std::max(times_.login, session->times().login);
    times_.forwards = std::max(times_.forwards, session->times().forwards);
  }
  lane.session = std::move(session);
  lane.pump = std::move(pump);
  if (closing_) lane.pump->stop();
}

std::optional<Error> Tunnel::try_to_connect(Lane& lane, Deadline deadline) {
  try {
    connect_lane(lane, deadline);
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(Errc::failure, error.what());
  }
}

void Tunnel::run_lane(Lane& lane, Deadline deadline) {
  if (const auto error = try_to_connect(lane, deadline)) {
    const std::lock_guard lock(mutex_);
    lane.state = TunnelState::failed;
    if (!first_error_) first_error_ = error;
    changed_.notify_all();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    lane.state = TunnelState::up;
  }
  changed_.notify_all();
  prefer_throughput();
  for (;;) {
    std::string reason;
    try {
      lane.pump->run(settings_.drain);
    } catch (const std::exception& error) {
      reason = error.what();
    }
    {
      const std::lock_guard lock(mutex_);
      const auto pump = std::exchange(lane.pump, nullptr);
    }
    lane.session.reset();
    if (reason.empty() || !restore(lane, reason)) return;
  }
}

// Returns whether the lane is up again; if not, it has failed or the tunnel is closing.
bool Tunnel::restore(Lane& lane, const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return false;
  }
  set_lane(lane, TunnelState::reconnecting, reason);
  bool told = false;
  bool is_second = false;  // or a later attempt
  const auto limit = Deadline::after(settings_.give_up);
  auto attempt = kFirstAttempt;
  for (auto span = kFirstPause; pause(span); span = std::min(span * 2, kLongestPause)) {
    const auto error = try_to_connect(lane, Deadline::after(std::min(attempt, limit.remaining())));
    attempt = std::min(attempt * 2, kLongestAttempt);
    const bool is_last = error && (error->code() == Errc::not_found || limit.expired());
    // An end is told alone; a busy engine may not know of it yet at the first attempt.
    if (!is_last && (!error || is_second) && !std::exchange(told, true))
      log::warn("{}; reconnecting", reason);
    is_second = true;
    if (!error) {
      {
        const std::lock_guard lock(mutex_);
        ++reconnects_;
      }
      log::info("the ssh session is restored, with the same ports");
      set_lane(lane, TunnelState::up, {});
      return true;
    }
    log::debug("reconnecting: {}", error->what());
    if (is_last) {
      log::warn("the ssh session is lost for good: {}", error->what());
      set_lane(lane, TunnelState::failed, error->what());
      return false;
    }
  }
  return false;
}

void Tunnel::set_lane(Lane& lane, TunnelState state, const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    lane.state = state;
    if (!reason.empty()) reason_ = reason;
    if (state == TunnelState::failed && !first_error_) first_error_ = Error(Errc::failure, reason);
  }
  changed_.notify_all();  // the constructor may still wait
  if (settings_.on_state) settings_.on_state(this->state(), reason);
}

// Returns false when the tunnel is closing.
bool Tunnel::pause(milliseconds span) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, span, [&] { return closing_; });
}

TunnelState Tunnel::state() const {
  const std::lock_guard lock(mutex_);
  return worst_state();
}

TunnelState Tunnel::worst_state() const {
  for (const auto state : {TunnelState::failed, TunnelState::reconnecting, TunnelState::connecting})
    if (std::ranges::any_of(lanes_, [&](const auto& lane) { return lane->state == state; })) return state;
  return TunnelState::up;
}

state::TunnelStats Tunnel::stats() const {
  const std::lock_guard lock(mutex_);
  const auto now = worst_state();
  state::TunnelStats out{.state = to_string(now),
                         .reason = now == TunnelState::up ? "" : reason_,
                         .cipher = cipher_,
                         .reconnects = reconnects_};
  for (const auto& lane : lanes_) out.sessions += lane->state == TunnelState::up ? 1U : 0U;
  out.accepted = counters_.accepted;
  out.strangers = counters_.strangers;
  out.unserved = counters_.unserved;
  out.bytes_to_host = counters_.bytes_to_host;
  out.bytes_from_host = counters_.bytes_from_host;
  out.open = counters_.open;
  return out;
}

TunnelTimes Tunnel::times() const {
  const std::lock_guard lock(mutex_);
  return times_;
}

}  // namespace hostnet::ssh
