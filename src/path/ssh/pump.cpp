// The loop.
#include "path/ssh/pump.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/ssh/connection.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hostnet::ssh {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// While more bytes wait for the session's socket, no service is read. Enough to fill a loopback or bridge for
// some rounds, and small enough to keep latency and memory low.
constexpr std::uint64_t kOutputLimit = 512U << 10;
// While all services together have left more bytes untaken, the session is read more slowly: …
constexpr std::size_t kStoreLimit = 32U << 20;
// … one read each time the services have taken nothing for this long.
constexpr milliseconds kTrickle{20};
// One read from a service. For a sidecar that accepts packets of 32 KiB, as OpenSSH does, libssh makes
// packets of at most this size. With two packets, the second would wait for a poll() within libssh.
constexpr std::size_t kReadSize = 32'768 - 10;
// Sockets handled in one round. A higher number uses each system call better, but makes the first sockets
// wait longer.
constexpr std::size_t kEventsPerRound = 192;
// When more sockets than this are ready, their answers gather …
constexpr int kFew = 2;
// … and go to the sidecar, which is idle meanwhile, as soon as they exceed this.
constexpr std::uint64_t kHeldLimit = 8U << 10;
// Reads of the session, 4 KiB each, between two polls of the services.
constexpr int kTurnsPerRound = 64;
// After this long without a byte, the sidecar gets a keepalive; after three times as long it is lost.
constexpr seconds kSilence{3};
// At the end, for the sidecar to deliver what it was sent.
constexpr milliseconds kFarewell{500};

Fd make_epoll() {
  Fd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) throw Error::from_errno("epoll_create1", errno);
  return fd;
}

}  // namespace

Policy::Policy(std::map<std::uint16_t, Service> services, std::optional<std::vector<Ip>> sources,
               std::vector<Subnet> barred)
    : services_(std::move(services)), barred_(std::move(barred)), sources_(std::move(sources)) {}

void Policy::set_sources(std::optional<std::vector<Ip>> sources) {
  {
    const std::lock_guard lock(mutex_);
    sources_ = std::move(sources);
  }
  known_.notify_all();
}

const Service* Policy::admit(std::uint16_t port, std::string_view originator) const {
  const auto found = services_.find(port);
  if (found == services_.end()) return nullptr;
  std::unique_lock lock(mutex_);
  known_.wait_for(lock, kPatience, [&] { return !sources_ || !sources_->empty(); });
  if (!sources_ && barred_.empty()) return &found->second;
  const auto address = Ip::parse(originator);
  if (!address) return nullptr;
  if (sources_ && std::ranges::find(*sources_, *address) == sources_->end()) return nullptr;
  const bool is_barred =
      std::ranges::any_of(barred_, [&](const Subnet& subnet) { return subnet.contains(*address); });
  if (!sources_ && is_barred) return nullptr;
  return &found->second;
}

Pump::Pump(Session& session, const Policy& policy, Counters& counters)
    : lib_(Libssh::get()),
      session_(session),
      policy_(policy),
      counters_(counters),
      everything_(make_epoll()),
      essential_(make_epoll()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      last_heard_(Clock::now()),
      scratch_(kReadSize) {
  if (!wake_) throw Error::from_errno("eventfd", errno);
  session_interest_ = EPOLLIN;
  for (const auto& epoll : {&everything_, &essential_}) {
    epoll_event wake{.events = EPOLLIN, .data = {.ptr = &wake_}};
    epoll_event session_event{.events = EPOLLIN, .data = {.ptr = &session_}};
    if (::epoll_ctl(epoll->get(), EPOLL_CTL_ADD, wake_.get(), &wake) != 0 ||
        ::epoll_ctl(epoll->get(), EPOLL_CTL_ADD, session_.fd(), &session_event) != 0)
      throw Error::from_errno("epoll_ctl", errno);
  }
  lib_.ssh_set_message_callback(session_.handle(), &Pump::on_message, this);
}

Pump::~Pump() {
  lib_.ssh_set_message_callback(session_.handle(), nullptr, nullptr);
  connections_.clear();  // before the lists that connections register in
}

void Pump::stop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void Pump::run(milliseconds drain) {
  std::optional<Clock::time_point> end;
  for (;;) {
    if (stopping_ && !end) end = Clock::now() + drain;
    if (end && (connections_.empty() || Clock::now() >= *end)) break;
    const auto left = end ? std::chrono::ceil<milliseconds>(*end - Clock::now()) : milliseconds{1000};
    round(std::clamp(left, milliseconds{0}, milliseconds{1000}));
  }
  for (const auto& [connection, owner] : connections_) connection->cut();
  bury();
  const auto limit = Clock::now() + kFarewell;
  while ((!connections_.empty() || session_.has_output()) && Clock::now() < limit) {
    update_session_interest();
    round(milliseconds{50});
  }
}

void Pump::round(milliseconds limit) {
  wait(looked_after_ != session_.received() && !blocked_.empty() ? milliseconds{0} : limit);
  turn_session();
  pass_on_ends();
  retry_blocked();
  bury();
  session_.check();
  update_session_interest();
  look_for_life();
}

bool Pump::overfull() const { return buffered_ > kStoreLimit; }

void Pump::wait(milliseconds limit) {
  std::array<epoll_event, kEventsPerRound> events;
  // While too much output waits, read no service.
  const int epoll = session_.backlog() > kOutputLimit ? essential_.get() : everything_.get();
  if (overfull()) limit = std::min(limit, kTrickle);
  const int count =
      ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), static_cast<int>(limit.count()));
  if (count < 0 && errno != EINTR) throw Error::from_errno("epoll_wait", errno);
  session_ready_ = count <= 0 && overfull();
  bool held = false;
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == &session_) {
      session_ready_ = true;
    } else if (event.data.ptr == &wake_) {
      std::uint64_t stops = 0;
      stopping_ = ::read(wake_.get(), &stops, sizeof stops) > 0 || stopping_;
    } else {
      auto* const connection = static_cast<Connection*>(event.data.ptr);
      if (!held && count > kFew) held = session_.hold();
      if (!connection->ended()) connection->on_socket(event.events);
      if (held && session_.backlog() > kHeldLimit) {
        session_.release();
        held = false;
        if (!overfull()) session_.turn();
      }
    }
  }
  if (!held) return;
  session_.release();
  session_ready_ |= !overfull();  // sends them
}

void Pump::turn_session() {
  if (!session_ready_) return;
  for (int turn = 0; turn < kTurnsPerRound && session_.turn() && !overfull(); ++turn) {
  }
}

void Pump::pass_on_ends() {
  for (auto* const connection : std::exchange(unsettled_, {})) connection->settle();
}

void Pump::retry_blocked() {
  if (looked_after_ == session_.received()) return;
  looked_after_ = session_.received();
  std::erase_if(blocked_, [](Connection* connection) { return connection->unblock(); });
}

void Pump::bury() {
  while (!ended_.empty() || !closed_.empty()) {
    for (auto* const connection : std::exchange(ended_, {})) {
      std::erase(blocked_, connection);
      std::erase(unsettled_, connection);
      connection->send_close();
    }
    for (auto* const connection : std::exchange(closed_, {})) connections_.erase(connection);
  }
}

void Pump::update_session_interest() {
  const std::uint32_t wanted = (overfull() ? 0U : EPOLLIN) | (session_.has_output() ? EPOLLOUT : 0U);
  if (wanted == session_interest_) return;
  epoll_event event{.events = wanted, .data = {.ptr = &session_}};
  for (const auto& epoll : {&everything_, &essential_})
    if (::epoll_ctl(epoll->get(), EPOLL_CTL_MOD, session_.fd(), &event) != 0)
      throw Error::from_errno("epoll_ctl", errno);
  session_interest_ = wanted;
}

void Pump::look_for_life() {
  if (heard_ != session_.received()) {
    heard_ = session_.received();
    last_heard_ = Clock::now();
    pinged_ = false;
    return;
  }
  const auto silence = Clock::now() - last_heard_;
  if (silence > 3 * kSilence) throw Error(Errc::failure, "the ssh session is lost: the sidecar is silent");
  if (silence > kSilence && !pinged_) {
    pinged_ = true;
    session_.ping();
  }
}

int Pump::on_message(ssh_session, ssh_message message, void* self) {
  auto& pump = *static_cast<Pump*>(self);
  constexpr int refuse = 1;
  if (pump.lib_.ssh_message_type(message) != SSH_REQUEST_CHANNEL_OPEN ||
      pump.lib_.ssh_message_subtype(message) != SSH_CHANNEL_FORWARDED_TCPIP)
    return refuse;
  try {
    return pump.open_connection(message) ? 0 : refuse;
  } catch (const std::exception& error) {  // must not unwind libssh's frames
    log::warn("a forwarded connection is refused: {}", error.what());
    return refuse;
  }
}

bool Pump::open_connection(ssh_message message) {
  if (stopping_) return false;
  const char* const originator = lib_.ssh_message_channel_request_open_originator(message);
  const int port = lib_.ssh_message_channel_request_open_destination_port(message);
  const auto* const service =
      policy_.admit(static_cast<std::uint16_t>(port), originator == nullptr ? "" : originator);
  if (service == nullptr) {
    ++counters_.strangers;
    return false;
  }
  auto dialled = dial(*service);
  if (dialled.outcome == Dialled::refused) {
    ++counters_.unserved;
    return false;
  }
  const auto channel = lib_.ssh_message_channel_request_open_reply_accept(message);
  if (channel == nullptr) return false;
  // Do not refuse it from here on: the sidecar was told that the channel is open.
  try {
    auto connection = std::make_unique<Connection>(*this, *service, std::move(dialled), channel);
    auto* const key = connection.get();
    connections_.emplace(key, std::move(connection));
    ++counters_.accepted;
  } catch (const std::exception& error) {
    log::warn("a forwarded connection is dropped: {}", error.what());
    lib_.ssh_channel_free(channel);
  }
  return true;
}

}  // namespace hostnet::ssh
