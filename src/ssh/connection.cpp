// A channel joined to a socket.
#include "ssh/connection.hpp"

#include "hostnet/error.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hostnet::ssh {
namespace {

// RFC 4253 asks every implementation for packets of 32 KiB, and OpenSSH takes no larger ones.
constexpr std::size_t kPacket = 32'768;

}  // namespace

Connection::Connection(Pump& pump, const Service& service, Dial dialled, ssh_channel channel)
    : pump_(pump),
      service_(service),
      socket_(std::move(dialled.socket)),
      channel_(channel),
      pending_(dialled.outcome == Dialled::pending) {
  ssh_callbacks_init(&callbacks_);
  callbacks_.userdata = this;
  callbacks_.channel_data_function = &Connection::on_data;
  callbacks_.channel_eof_function = &Connection::on_eof;
  callbacks_.channel_close_function = &Connection::on_close;
  if (pump_.lib_.ssh_set_channel_callbacks(channel_, &callbacks_) != SSH_OK)
    throw Error(Errc::failure, "libssh takes no callbacks for a channel");
  ++pump_.counters_.open;
  watch();
}

Connection::~Connection() {
  --pump_.counters_.open;
  pump_.lib_.ssh_remove_channel_callbacks(channel_, &callbacks_);
  pump_.lib_.ssh_channel_free(channel_);  // closes it if it is open
}

int Connection::on_data(ssh_session, ssh_channel, void* data, std::uint32_t length, int, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  if (connection.ended_) return static_cast<int>(length);
  // What is not taken here stays in libssh's buffer, and its window is not given back.
  std::size_t taken = 0;
  if (!connection.pending_ && connection.undelivered_.empty()) taken = connection.write_service(data, length);
  if (connection.ended_) return static_cast<int>(length);
  connection.buffered_ = length - taken;
  connection.watch();
  return static_cast<int>(taken);
}

void Connection::on_eof(ssh_session, ssh_channel, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  connection.channel_eof_ = true;
  connection.settle();
}

void Connection::on_close(ssh_session, ssh_channel, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  connection.channel_closed_ = true;
  connection.settle();
}

void Connection::on_socket(std::uint32_t events) {
  if (pending_) return finish_dial();
  if ((events & EPOLLOUT) != 0) deliver_buffered();
  if (!ended_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !service_eof_ && !blocked_)
    read_service();
}

void Connection::finish_dial() {
  if (const int error = pending_error(socket_.get()); error != 0) return end(false);
  pending_ = false;
  deliver_buffered();
}

void Connection::read_service() {
  const std::size_t window = pump_.lib_.ssh_channel_window_size(channel_);
  if (window == 0) {
    blocked_ = true;
    pump_.blocked_.push_back(this);
    return watch();
  }
  const auto got = ::recv(socket_.get(), pump_.scratch_.data(), std::min(window, kPacket), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return end(false);  // reset by the service: the channel closes at once
  if (got == 0) {
    service_eof_ = true;
    pump_.lib_.ssh_channel_send_eof(channel_);
    return settle();
  }
  pump_.counters_.bytes_from_host += static_cast<std::uint64_t>(got);
  write_channel(pump_.scratch_.data(), static_cast<std::size_t>(got));
}

// Returns whether libssh took it all; what it did not take is kept.
bool Connection::write_channel(const std::uint8_t* data, std::size_t length) {
  const int taken = pump_.lib_.ssh_channel_write(channel_, data, static_cast<std::uint32_t>(length));
  if (taken < 0) {
    end(true);
    return false;
  }
  pump_.unflushed_ += static_cast<std::uint64_t>(taken);
  if (static_cast<std::size_t>(taken) == length) return true;
  unsent_.assign(reinterpret_cast<const char*>(data) + taken, length - static_cast<std::size_t>(taken));
  if (!blocked_) {
    blocked_ = true;
    pump_.blocked_.push_back(this);
  }
  watch();
  return false;
}

bool Connection::unblock() {
  if (ended_) return true;
  if (!unsent_.empty()) {
    const auto rest = std::exchange(unsent_, {});
    if (!write_channel(reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size())) return ended_;
  }
  if (pump_.lib_.ssh_channel_window_size(channel_) == 0) return false;
  blocked_ = false;
  watch();
  return true;
}

// Moves what libssh keeps for the service, by way of a buffer of our own for what the service does not take.
void Connection::deliver_buffered() {
  for (;;) {
    if (!undelivered_.empty()) {
      undelivered_.erase(0, write_service(undelivered_.data(), undelivered_.size()));
      if (ended_) return;
      if (!undelivered_.empty()) break;
    }
    if (buffered_ == 0) break;
    const auto wanted = static_cast<std::uint32_t>(std::min(buffered_, kPacket));
    const int got = pump_.lib_.ssh_channel_read_nonblocking(channel_, pump_.scratch_.data(), wanted, 0);
    if (got <= 0) {
      buffered_ = 0;
      break;
    }
    buffered_ -= std::min(buffered_, static_cast<std::size_t>(got));
    undelivered_.assign(reinterpret_cast<const char*>(pump_.scratch_.data()), static_cast<std::size_t>(got));
  }
  settle();
}

std::size_t Connection::write_service(const void* data, std::size_t length) {
  const auto sent = ::send(socket_.get(), data, length, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) end(false);
    return 0;
  }
  pump_.counters_.bytes_to_host += static_cast<std::uint64_t>(sent);
  return static_cast<std::size_t>(sent);
}

// Passes on the ends that have been reached, once all that came before them has been delivered.
void Connection::settle() {
  if (ended_) return;
  const bool delivered = buffered_ == 0 && undelivered_.empty() && !pending_;
  if (delivered && channel_eof_ && !write_shut_) {
    write_shut_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
  }
  const bool both_have_ended = service_eof_ && channel_eof_ && unsent_.empty();
  if (delivered && (channel_closed_ || both_have_ended)) return end(channel_closed_ && !service_eof_);
  watch();
}

void Connection::cut() { end(true); }

void Connection::end(bool reset) {
  if (ended_) return;
  ended_ = true;
  interest_ = 0;
  if (reset && service_.port != 0) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  socket_.reset();  // leaves the epoll sets
  pump_.ended_.push_back(this);
}

// Tells epoll what is of interest now. Without any interest the socket is taken out, for epoll would go on
// telling of a hang-up.
void Connection::watch() {
  if (ended_) return;
  std::uint32_t wanted = 0;
  if (pending_ || buffered_ > 0 || !undelivered_.empty()) wanted |= EPOLLOUT;
  if (!pending_ && !service_eof_ && !blocked_) wanted |= EPOLLIN;
  if (wanted == interest_) return;
  epoll_event event{.events = wanted, .data = {.ptr = this}};
  const int operation = interest_ == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (::epoll_ctl(pump_.everything_.get(), operation, socket_.get(), &event) != 0) return end(true);
  interest_ = wanted;
}

}  // namespace hostnet::ssh
