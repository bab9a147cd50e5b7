// Moves datagrams.
#include "path/relay/datagrams.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <net/if.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace hostnet::relay {
namespace {

// Datagrams that one socket moves before others have their turn.
constexpr int kDatagramsPerTurn = 64;

void report(int epoll, int fd, Source& source) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &source}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) throw Error::from_errno("epoll_ctl", errno);
}

std::string device_of(int socket) {
  std::array<char, IFNAMSIZ> name{};
  socklen_t size = name.size();
  if (::getsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size) != 0) return {};
  return name.data();
}

std::string name_of(int socket) {
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) != 0) return {};
  return {reinterpret_cast<const char*>(&own), length};
}

}  // namespace

Datagrams::Datagrams(Place place, Fd socket, Service service, std::shared_ptr<Counters> counters,
                     DatagramLimits limits)
    : place_(place),
      socket_(std::move(socket)),
      service_(std::move(service)),
      counters_(std::move(counters)),
      limits_(limits),
      device_(device_of(socket_.get())),
      own_(name_of(socket_.get())) {
  refuse();
  report(place_.epoll, socket_.get(), *this);
}

// Another process may have inherited the socket: it must not take datagrams there.
Datagrams::~Datagrams() {
  ::epoll_ctl(place_.epoll, EPOLL_CTL_DEL, socket_.get(), nullptr);
  refuse();
  while (!conversations_.empty()) end(conversations_.front());
}

void Datagrams::refuse() {
  if (!std::exchange(accepts_, false)) return;
  const auto* const address = reinterpret_cast<const sockaddr*>(own_.data());
  if (::connect(socket_.get(), address, static_cast<socklen_t>(own_.size())) != 0)
    log::debug("relay: datagrams are dropped rather than refused: {}",
               Error::from_errno("connect", errno).what());
}

void Datagrams::accept() {
  if (std::exchange(accepts_, true)) return;
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  ::connect(socket_.get(), &nobody, sizeof nobody);
  if (!device_.empty())
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_BINDTODEVICE, device_.c_str(),
                 static_cast<socklen_t>(device_.size() + 1));
}

void Datagrams::look(bool there) {
  if (there)
    accept();
  else
    refuse();
  const auto now = Clock::now();
  for (auto one = conversations_.begin(); one != conversations_.end();) {
    auto& conversation = *one++;
    if (now - conversation.last >= (conversation.answered ? limits_.quiet : limits_.unanswered))
      end(conversation);
  }
}

void Datagrams::on_events(std::uint32_t) {
  for (int left = kDatagramsPerTurn; left > 0; --left) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const auto got = ::recvfrom(socket_.get(), place_.buffer.data(), place_.buffer.size(), 0,
                                reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) {
      if (errno == EAGAIN || errno == EBADF) return;
      continue;  // EINTR, or the error of an answer that a source refused
    }
    if (!accepts_) {  // it came before
      ++counters_->unserved;
      continue;
    }
    const std::string peer(reinterpret_cast<const char*>(&from), length);
    if (peer == own_) continue;  // forged: the answers would come back here for ever
    auto* const conversation = conversation_with(peer);
    if (conversation != nullptr) pass_on(*conversation, place_.buffer.first(static_cast<std::size_t>(got)));
  }
}

Datagrams::Conversation* Datagrams::conversation_with(const std::string& peer) {
  const auto found = by_peer_.find(peer);
  return found != by_peer_.end() ? found->second : begin(peer);
}

// nullptr, and the datagram is dropped, if there is no descriptor.
Datagrams::Conversation* Datagrams::begin(const std::string& peer) {
  if (conversations_.size() >= limits_.most_conversations) end_longest_quiet();
  const auto& address = service_.addresses.front();
  Fd socket(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), address.get(), address.length) != 0) {
    if (!std::exchange(warned_, true))
      log::warn("relay: datagrams are dropped: {}",
                Error::from_errno("a socket for their source", errno).what());
    return nullptr;
  }
  auto& made = conversations_.emplace_front(*this, peer, std::move(socket));
  made.place = conversations_.begin();
  by_peer_.emplace(peer, &made);
  ++counters_->accepted;
  ++counters_->open;
  try {
    report(place_.epoll, made.socket.get(), made);
  } catch (const Error&) {  // no memory
    end(made);
    return nullptr;
  }
  return &made;
}

void Datagrams::pass_on(Conversation& conversation, std::span<const char> datagram) {
  conversation.last = Clock::now();
  auto sent = ::send(conversation.socket.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno == ECONNREFUSED) {  // that was an earlier one's
    place_.next_look = {};
    sent = ::send(conversation.socket.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
  }
  if (sent > 0) counters_->bytes_to_host += static_cast<std::uint64_t>(sent);
}

void Datagrams::answer(Conversation& conversation) {
  for (int left = kDatagramsPerTurn; left > 0 && conversation.socket; --left) {
    const auto got = ::recv(conversation.socket.get(), place_.buffer.data(), place_.buffer.size(), 0);
    if (got < 0) {
      if (errno == EAGAIN) return;
      if (errno == ECONNREFUSED) {
        ++counters_->unserved;
        place_.next_look = {};
      }
      continue;
    }
    conversation.last = Clock::now();
    conversation.answered = true;
    const auto sent = ::sendto(socket_.get(), place_.buffer.data(), static_cast<std::size_t>(got),
                               MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(conversation.peer.data()),
                               static_cast<socklen_t>(conversation.peer.size()));
    if (sent > 0) counters_->bytes_from_host += static_cast<std::uint64_t>(sent);
  }
}

void Datagrams::end(Conversation& conversation) {
  --counters_->open;
  by_peer_.erase(conversation.peer);
  // A forked child may have inherited it: then closing it ends no reports.
  ::epoll_ctl(place_.epoll, EPOLL_CTL_DEL, conversation.socket.get(), nullptr);
  conversation.socket.reset();
  ended_.splice(ended_.begin(), conversations_, conversation.place);
}

void Datagrams::end_longest_quiet() {
  end(*std::ranges::min_element(conversations_, {}, &Conversation::last));
}

}  // namespace hostnet::relay
