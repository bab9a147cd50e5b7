// Moves datagrams.
#include "path/relay/datagrams.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hostnet::relay {
namespace {

// Datagrams that one socket moves before others have their turn.
constexpr int kDatagramsPerTurn = 64;

void report(int epoll, int fd, Source& source, std::uint32_t events = EPOLLIN) {
  epoll_event event{.events = events, .data = {.ptr = &source}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) throw Error::from_errno("epoll_ctl", errno);
}

// In the socket's own network namespace; also of an interface that is gone.
int device_of(int socket) {
  int number = 0;
  socklen_t size = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_BINDTOIFINDEX, &number, &size) != 0)
    throw Error::from_errno("SO_BINDTOIFINDEX", errno);
  return number;
}

std::string name_of(int socket) {
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) != 0) return {};
  return {reinterpret_cast<const char*>(&own), length};
}

struct Received {
  ssize_t size = -1;
  std::string peer;
  int device = 0;  // that it came in by; 0: not known
};

Received receive(int socket, std::span<char> buffer) {
  Received out;
  sockaddr_storage from{};
  iovec part{buffer.data(), buffer.size()};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(in_pktinfo))];
  } control{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  out.size = ::recvmsg(socket, &message, 0);
  if (out.size < 0) return out;
  out.peer.assign(reinterpret_cast<const char*>(&from), message.msg_namelen);
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != IPPROTO_IP || header->cmsg_type != IP_PKTINFO) continue;
    in_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(header), sizeof info);
    out.device = info.ipi_ifindex;
  }
  return out;
}

}  // namespace

Datagrams::Datagrams(Place place, Fd socket, Service service, std::shared_ptr<Counters> counters,
                     std::shared_ptr<Peers> peers, DatagramLimits limits)
    : place_(place),
      socket_(std::move(socket)),
      service_(std::move(service)),
      counters_(std::move(counters)),
      peers_(std::move(peers)),
      limits_(limits),
      device_(device_of(socket_.get())),
      own_(name_of(socket_.get())) {
  const int on = 1;
  if (device_ != 0 && ::setsockopt(socket_.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on) != 0)
    throw Error::from_errno("IP_PKTINFO", errno);
  refuse();
  report(place_.epoll, socket_.get(), *this, 0);
  read_on();
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
  if (device_ == 0 ||
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &device_, sizeof device_) == 0)
    return;
  if (!std::exchange(warned_, true))
    log::warn("relay: datagrams are refused: {}", Error::from_errno("SO_BINDTOIFINDEX", errno).what());
  refuse();
}

// As reported by epoll: what waits is read in the next turn.
void Datagrams::read_on() {
  if (reads_ || (peers_ && !peers_->are_known())) return;
  epoll_event event{.events = EPOLLIN, .data = {.ptr = static_cast<Source*>(this)}};
  reads_ = ::epoll_ctl(place_.epoll, EPOLL_CTL_MOD, socket_.get(), &event) == 0;
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
  if (!reads_) {  // epoll reports an error in any case, until it is taken
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return;
  }
  for (int left = kDatagramsPerTurn; left > 0; --left) {
    const auto got = receive(socket_.get(), place_.buffer);
    if (got.size < 0) {
      if (errno == EAGAIN || errno == EBADF) return;
      continue;  // EINTR, or the error of an answer that a source refused
    }
    if (!accepts_)  // it came before
      ++counters_->unserved;
    else if (got.device != device_ && device_ != 0)
      ++counters_->strangers;
    else
      take(got.peer, place_.buffer.first(static_cast<std::size_t>(got.size)));
  }
}

void Datagrams::take(const std::string& peer, std::span<const char> datagram) {
  if (peer == own_) return;  // forged: the answers would come back here for ever
  auto* const conversation = conversation_with(peer);
  if (conversation != nullptr) pass_on(*conversation, datagram);
}

bool Datagrams::admits(const std::string& peer) const {
  sockaddr_in address{};
  if (peer.size() != sizeof address) return false;
  std::memcpy(&address, peer.data(), sizeof address);
  return peers_->admit(Ipv4::from_network(address.sin_addr.s_addr));
}

Datagrams::Conversation* Datagrams::conversation_with(const std::string& peer) {
  const auto found = by_peer_.find(peer);
  return found != by_peer_.end() ? found->second : begin(peer);
}

// nullptr, and the datagram is dropped, if the source may not have one, or there is no descriptor.
Datagrams::Conversation* Datagrams::begin(const std::string& peer) {
  if (peers_ && !admits(peer)) {
    ++counters_->strangers;
    return nullptr;
  }
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
