// Listeners and the turn.
#include "path/relay/loop.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace hostnet::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kBacklog = 4096;  // the kernel takes net.core.somaxconn at most
// Connections that a listener accepts before others have their turn.
constexpr int kAcceptsPerTurn = 64;
// An accepted connection that cannot be joined yet is reset after this.
constexpr seconds kDialPatience{5};
constexpr std::size_t kEventsPerTurn = 128;

bool is_scarcity(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool is_datagram(int socket) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

std::optional<std::vector<netlink::Listener>> listeners_of(Protocol protocol) {
  try {
    return netlink::all_listeners(protocol);
  } catch (const Error& error) {
    log::debug("relay: every service counts as listening: {}", error.what());
    return std::nullopt;
  }
}

}  // namespace

class Loop::Listener final : public Source {
 public:
  Listener(Loop& loop, Fd socket, Service service, std::shared_ptr<Counters> counters,
           std::shared_ptr<Peers> peers)
      : loop_(loop),
        socket_(std::move(socket)),
        service_(std::move(service)),
        presence_(service_),
        counters_(std::move(counters)),
        peers_(std::move(peers)) {
    const int on = 1;  // for the sockets that it accepts
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = static_cast<Source*>(this)}};
    if (::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, socket_.get(), &event) != 0)
      throw Error::from_errno("epoll_ctl", errno);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // Another process may have inherited the socket: it must neither listen nor report there.
  ~Listener() {
    ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, socket_.get(), nullptr);
    ::shutdown(socket_.get(), SHUT_RDWR);
    for (auto& connection : connections_) connection.cut();
    std::erase(loop_.paused_, this);
  }

  void on_events(std::uint32_t) override { accept_some(); }

  void look(const std::optional<std::vector<netlink::Listener>>& listeners) {
    const bool there = presence_.is_there(listeners);
    if (there && !accepts_) {
      accepts_ = ::listen(socket_.get(), kBacklog) == 0;
      counters_->listen_error = accepts_ ? 0 : errno;
    } else if (!there && accepts_) {
      refuse();
    }
  }

  /// Continues after a pause, or once its peers are known.
  void resume() { accept_some(); }
  [[nodiscard]] Clock::time_point resumes_at() const { return resumes_at_; }

 private:
  enum class Joined : std::uint8_t { yes, later };

  void accept_some() {
    for (int left = kAcceptsPerTurn; left > 0; --left) {
      if (!waiting_ && !accept_one()) return;
      if (waiting_ && join() == Joined::later) return pause(loop_.limits_.pause);
    }
    pause(milliseconds{0});
  }

  // Takes a connection into waiting_, unless its peer may not connect. False if there is none to take now.
  bool accept_one() {
    if (!accepts_ || (peers_ && !peers_->are_known())) return false;
    if (loop_.shared_.open >= loop_.limits_.most_open) {
      pause(loop_.limits_.pause);
      return false;
    }
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    Fd client(
        ::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client && peers_ && !peers_->admit(Ipv4::from_network(peer.sin_addr.s_addr))) {
      reset(std::move(client));
      ++counters_->strangers;
      return true;
    }
    if (client) {
      waiting_ = std::move(client);
      waits_until_ = Clock::now() + kDialPatience;
      return true;
    }
    if (is_scarcity(errno)) {
      if (!std::exchange(warned_, true))
        log::warn("relay: no descriptor is free; connections wait (see ulimit -n)");
      pause(loop_.limits_.pause);
      return false;
    }
    return errno != EAGAIN && errno != EINVAL && errno != EBADF;  // else that connection has gone
  }

  Joined join() {
    auto dialled = dial(service_);
    if (dialled.outcome == Dialled::later && Clock::now() < waits_until_) return Joined::later;
    if (dialled.outcome == Dialled::refused || dialled.outcome == Dialled::later) {
      reset(std::exchange(waiting_, Fd()));
      ++counters_->unserved;
      if (dialled.outcome == Dialled::refused) {
        presence_.refused();
        loop_.next_look_ = {};  // the listeners have changed, or the file is stale
      }
      return Joined::yes;
    }
    connections_.emplace_front(loop_.shared_, *counters_, connections_, std::exchange(waiting_, Fd()),
                               std::move(dialled));
    connections_.front().start(connections_.begin());
    return Joined::yes;
  }

  void refuse() {
    ::shutdown(socket_.get(), SHUT_RD);
    accepts_ = false;
    if (waiting_) reset(std::exchange(waiting_, Fd()));
  }

  void pause(milliseconds span) {
    resumes_at_ = Clock::now() + span;
    if (std::ranges::find(loop_.paused_, this) == loop_.paused_.end()) loop_.paused_.push_back(this);
  }

  Loop& loop_;
  Fd socket_;
  const Service service_;
  Presence presence_;
  std::shared_ptr<Counters> counters_;
  std::shared_ptr<Peers> peers_;  // null: everybody may connect
  std::list<Connection> connections_;
  Fd waiting_;  // accepted, to be joined with the service
  Clock::time_point waits_until_;
  Clock::time_point resumes_at_;
  bool accepts_ = false;
  bool warned_ = false;
};

Loop::Loop(Limits limits)
    : limits_(limits), epoll_(::epoll_create1(EPOLL_CLOEXEC)), shared_{.epoll = epoll_.get()} {
  if (!epoll_) throw Error::from_errno("epoll_create1", errno);
}

Loop::~Loop() = default;

Loop::Id Loop::add(Fd socket, Service service, std::shared_ptr<Counters> counters,
                   std::shared_ptr<Peers> peers) {
  const auto id = next_id_++;
  if (is_datagram(socket.get()))
    datagrams_.emplace(id, std::make_unique<Datagrams>(
                               Datagrams::Place{epoll_.get(), {shared_.buffer.get(), kCopyRoom}, next_look_},
                               std::move(socket), std::move(service), std::move(counters), std::move(peers),
                               limits_.datagrams));
  else
    listeners_.emplace(id, std::make_unique<Listener>(*this, std::move(socket), std::move(service),
                                                      std::move(counters), std::move(peers)));
  look_at_services();
  return id;
}

void Loop::remove(Id id) {
  listeners_.erase(id);
  datagrams_.erase(id);
}

void Loop::resume(Id id) {
  if (const auto found = listeners_.find(id); found != listeners_.end()) found->second->resume();
  if (const auto found = datagrams_.find(id); found != datagrams_.end()) found->second->resume();
}

void Loop::watch(int fd, Source& source) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &source}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw Error::from_errno("epoll_ctl", errno);
}

void Loop::turn() {
  std::array<epoll_event, kEventsPerTurn> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), patience());
  if (count < 0 && errno != EINTR) throw Error::from_errno("epoll_wait", errno);
  for (int i = 0; i < count; ++i)
    static_cast<Source*>(events[static_cast<std::size_t>(i)].data.ptr)
        ->on_events(events[static_cast<std::size_t>(i)].events);
  continue_ready();
  bury();
  resume_paused();
  if (serves() && Clock::now() >= next_look_) look_at_services();
}

// Milliseconds for epoll_wait(2).
int Loop::patience() const {
  if (!shared_.ready.empty()) return 0;
  if (!serves()) return -1;
  auto next = next_look_;
  for (const auto* const listener : paused_) next = std::min(next, listener->resumes_at());
  const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
}

void Loop::look_at_services() {
  next_look_ = Clock::now() + limits_.gate_period;
  if (!listeners_.empty()) {
    const auto listening = listeners_of(Protocol::tcp);
    for (const auto& [id, listener] : listeners_) listener->look(listening);
  }
  if (datagrams_.empty()) return;
  const auto bound = listeners_of(Protocol::udp);
  for (const auto& [id, datagrams] : datagrams_)
    datagrams->look(!bound || listens(datagrams->service(), *bound));
}

void Loop::continue_ready() {
  std::vector<Connection*> ready;
  ready.swap(shared_.ready);
  for (auto* const connection : ready) connection->turn();
}

void Loop::resume_paused() {
  if (paused_.empty()) return;
  std::vector<Listener*> due;
  const auto now = Clock::now();
  std::erase_if(paused_, [&](Listener* listener) {
    if (listener->resumes_at() > now) return false;
    due.push_back(listener);
    return true;
  });
  for (auto* const listener : due) listener->resume();
}

void Loop::bury() {
  std::vector<Connection*> dead;
  dead.swap(shared_.buried);
  for (auto* const connection : dead) connection->free();
  for (const auto& [id, datagrams] : datagrams_) datagrams->sweep();
}

}  // namespace hostnet::relay
