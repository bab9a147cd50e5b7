// Carries out what the flows decide.
#include "path/relay/connection.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

namespace hostnet::relay {
namespace {

// An error that is not about the connection: the call can be repeated.
bool is_passing(int error) { return error == EAGAIN || error == EINTR; }

int taken_error(int socket) {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

// close(2) with SO_LINGER resets only if no other process has the socket. Disconnecting always does; a Unix
// socket has no reset.
void reset(Fd socket) noexcept {
  const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
  if (::connect(socket.get(), &none, sizeof none) != 0) ::shutdown(socket.get(), SHUT_RDWR);
}

Connection::Connection(Shared& shared, Counters& counters, std::list<Connection>& home, Fd client,
                       Dial dialled)
    : shared_(shared), counters_(counters), home_(home), dialling_(dialled.outcome == Dialled::pending) {
  sockets_[kContainer] = std::move(client);
  sockets_[kService] = std::move(dialled.socket);
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    sides_[i].connection = this;
    sides_[i].index = i;
  }
  ++shared_.open;
  ++counters_.open;
  if (!dialling_) ++counters_.accepted;
}

Connection::~Connection() {
  if (!over_) end(true);
  std::erase(shared_.buried, this);
}

void Connection::start(std::list<Connection>::iterator place) noexcept {
  place_ = place;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                      .data = {.ptr = static_cast<Source*>(&sides_[i])}};
    if (::epoll_ctl(shared_.epoll, EPOLL_CTL_ADD, sockets_[i].get(), &event) != 0) return end(true);
  }
}

void Connection::on_events(std::size_t side, std::uint32_t events) noexcept {
  if (over_) return;
  if (dialling_ && side == kService) {
    if (const int error = taken_error(sockets_[kService].get()); error != 0) {
      ++counters_.unserved;
      return end(true);
    }
    if ((events & EPOLLOUT) == 0) return;
    dialling_ = false;
    ++counters_.accepted;
  }
  if ((events & EPOLLOUT) != 0) flows_[1 - side].destination_writable();
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0)
    flows_[side].source_has_more_behind();
  else if ((events & EPOLLIN) != 0)
    flows_[side].source_readable();
  if ((events & EPOLLERR) != 0) has_error_ = true;
  move_both();
}

void Connection::turn() noexcept {
  queued_ = false;
  if (!over_) move_both();
}

void Connection::move_both() noexcept {
  if (!move(kContainer) || !move(kService)) return;
  // What could be passed on is; the rest would keep the other end from learning of the error.
  if (has_error_ && !queued_) end(true);
}

// Returns false once the connection is over.
bool Connection::move(std::size_t from) noexcept {
  auto& flow = flows_[from];
  auto budget = kFlowBudget;
  for (;;) {
    switch (flow.next(budget)) {
      case Act::wait:
        return true;
      case Act::yield:
        if (!queued_) shared_.ready.push_back(this);
        queued_ = true;
        return true;
      case Act::deliver:
        if (!deliver(from)) return false;
        break;
      case Act::copy:
        if (!copy(from, budget)) return false;
        break;
      case Act::splice:
        if (!splice_in(from, budget)) return false;
        break;
      case Act::pass_end:
        ::shutdown(sockets_[1 - from].get(), SHUT_WR);
        flow.passed_end();
        if (!flows_[1 - from].end_passed()) break;
        end(false);
        return false;
    }
  }
}

bool Connection::copy(std::size_t from, std::size_t& budget) noexcept {
  auto& flow = flows_[from];
  const auto room = copy_room(shared_.held);
  const auto got = ::recv(sockets_[from].get(), shared_.buffer.get(), room, 0);
  if (got < 0) {
    if (errno == EAGAIN) flow.drained();
    return is_passing(errno) || failed();
  }
  if (got == 0) {
    flow.ended();
    return true;
  }
  const auto size = static_cast<std::size_t>(got);
  budget -= std::min(budget, size);
  flow.copied(size, room);
  const auto put = ::send(sockets_[1 - from].get(), shared_.buffer.get(), size, MSG_NOSIGNAL);
  if (put < 0 && !is_passing(errno)) return failed();
  const auto taken = static_cast<std::size_t>(std::max<ssize_t>(put, 0));
  if (put < 0 && errno == EAGAIN) flow.destination_full();
  flow.delivered(taken);
  count(from, taken);
  return taken == size || keep_rest(from, shared_.buffer.get() + taken, size - taken);
}

bool Connection::keep_rest(std::size_t from, const char* rest, std::size_t size) noexcept {
  auto& carry = carries_[from];
  carry.bytes.reset(new (std::nothrow) char[size]);
  if (!carry.bytes) return failed();
  std::memcpy(carry.bytes.get(), rest, size);
  carry.start = 0;
  shared_.held += size;
  return true;
}

bool Connection::splice_in(std::size_t from, std::size_t& budget) noexcept {
  auto& flow = flows_[from];
  auto pipe = shared_.pipes.take();
  if (!pipe) {
    flow.splice_gave_nothing();
    return true;
  }
  const auto got = ::splice(sockets_[from].get(), nullptr, pipe.write_end.get(), nullptr,
                            std::min(budget, PipePool::kPipeSize), SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (got <= 0) {
    const int error = got < 0 ? errno : 0;
    shared_.pipes.give_back(std::move(pipe));
    if (error != 0 && !is_passing(error)) return failed();
    flow.splice_gave_nothing();
    return true;
  }
  const auto size = static_cast<std::size_t>(got);
  budget -= std::min(budget, size);
  flow.spliced(size);
  carries_[from].pipe = std::move(pipe);
  return true;
}

bool Connection::deliver(std::size_t from) noexcept {
  auto& flow = flows_[from];
  auto& carry = carries_[from];
  const int into = sockets_[1 - from].get();
  const auto put = carry.pipe ? ::splice(carry.pipe.read_end.get(), nullptr, into, nullptr, flow.held(),
                                         SPLICE_F_NONBLOCK | SPLICE_F_MOVE)
                              : ::send(into, carry.bytes.get() + carry.start, flow.held(), MSG_NOSIGNAL);
  if (put < 0) {
    if (errno == EAGAIN) flow.destination_full();
    return is_passing(errno) || failed();
  }
  if (put == 0) return failed();  // a pipe that does not hold what was put into it
  const auto taken = static_cast<std::size_t>(put);
  flow.delivered(taken);
  count(from, taken);
  if (carry.pipe) {
    if (flow.held() == 0) shared_.pipes.give_back(std::exchange(carry.pipe, {}));
    return true;
  }
  carry.start += taken;
  shared_.held -= taken;
  if (flow.held() == 0) carry.bytes.reset();
  return true;
}

bool Connection::failed() noexcept {
  end(true);
  return false;
}

void Connection::count(std::size_t from, std::size_t bytes) noexcept {
  auto& counter = from == kContainer ? counters_.bytes_to_host : counters_.bytes_from_host;
  counter.fetch_add(bytes, std::memory_order_relaxed);
}

void Connection::end(bool with_reset) noexcept {
  if (over_) return;
  over_ = true;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    // Closing alone leaves it registered while a forked child has the descriptor.
    ::epoll_ctl(shared_.epoll, EPOLL_CTL_DEL, sockets_[i].get(), nullptr);
    auto& carry = carries_[i];
    if (carry.bytes) shared_.held -= flows_[i].held();
    carry.bytes.reset();
    if (carry.pipe) shared_.pipes.discard(std::exchange(carry.pipe, {}));
    if (with_reset)
      reset(std::move(sockets_[i]));
    else
      sockets_[i].reset();
  }
  --shared_.open;
  --counters_.open;
  std::erase(shared_.ready, this);
  queued_ = false;
  shared_.buried.push_back(this);
}

}  // namespace hostnet::relay
