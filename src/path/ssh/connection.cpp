// Joins a channel to a socket.
#include "path/ssh/connection.hpp"

#include "hostnet/error.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hostnet::ssh {

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
    throw Error(Errc::failure, "libssh refuses callbacks for a channel");
  ++pump_.counters_.open;
  watch();
}

Connection::~Connection() {
  end(true);
  pump_.lib_.ssh_remove_channel_callbacks(channel_, &callbacks_);
  pump_.lib_.ssh_channel_free(channel_);
}

std::span<const std::uint8_t> Connection::undelivered() const {
  return {undelivered_.get() + undelivered_start_, undelivered_end_ - undelivered_start_};
}

int Connection::on_data(ssh_session, ssh_channel, void* data, std::uint32_t length, int, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  if (connection.ended_) return static_cast<int>(length);
  // Bytes not taken here stay in libssh's buffer, and libssh does not credit their window.
  std::size_t taken = 0;
  const bool waiting = (connection.interest_ & EPOLLOUT) != 0;
  if (!waiting) taken = connection.write_service({static_cast<const std::uint8_t*>(data), length});
  if (connection.ended_) return static_cast<int>(length);
  connection.buffered_ = length - taken;
  connection.watch();
  return static_cast<int>(taken);
}

void Connection::on_eof(ssh_session, ssh_channel, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  connection.channel_eof_ = true;
  if (!connection.ended_) connection.pump_.unsettled_.push_back(&connection);
}

void Connection::on_close(ssh_session, ssh_channel, void* self) {
  auto& connection = *static_cast<Connection*>(self);
  connection.channel_closed_ = true;
  if (connection.close_sent_) {
    connection.pump_.closed_.push_back(&connection);
  } else {
    connection.settle();
  }
}

void Connection::on_socket(std::uint32_t events) {
  if (pending_) return finish_dial();
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 && (interest_ & EPOLLOUT) != 0) deliver();
  if (!ended_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && (interest_ & EPOLLIN) != 0)
    read_service();
}

void Connection::finish_dial() {
  if (pending_error(socket_.get()) != 0) return end(false);
  pending_ = false;
  deliver();
}

void Connection::read_service() {
  const std::size_t window = pump_.lib_.ssh_channel_window_size(channel_);
  if (window == 0) return block();
  const auto wanted = std::min(window, pump_.scratch_.size());
  const auto got = ::recv(socket_.get(), pump_.scratch_.data(), wanted, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return end(false);  // reset by the service: close the channel at once
  if (got == 0) {
    service_eof_ = true;
    // On SSH_AGAIN, libssh has the rest in its buffer.
    pump_.lib_.ssh_channel_send_eof(channel_);
    return settle();
  }
  pump_.counters_.bytes_from_host += static_cast<std::uint64_t>(got);
  write_channel({pump_.scratch_.data(), static_cast<std::size_t>(got)});
}

// Keeps what libssh does not take. The write runs callbacks, which may end this connection.
void Connection::write_channel(std::span<const std::uint8_t> data) {
  const int taken =
      pump_.lib_.ssh_channel_write(channel_, data.data(), static_cast<std::uint32_t>(data.size()));
  if (ended_) return;
  if (taken < 0) return end(true);
  const auto rest = data.subspan(static_cast<std::size_t>(taken));
  if (rest.empty()) return;
  unsent_.assign(rest.begin(), rest.end());
  block();
}

void Connection::block() {
  if (!blocked_) pump_.blocked_.push_back(this);
  blocked_ = true;
  watch();
}

bool Connection::unblock() {
  if (ended_) return true;
  if (!unsent_.empty()) {
    const auto rest = std::exchange(unsent_, {});
    write_channel({reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size()});
    if (ended_) return true;
  }
  if (!unsent_.empty() || pump_.lib_.ssh_channel_window_size(channel_) == 0) return false;
  blocked_ = false;
  watch();
  return true;
}

// Moves the bytes that libssh holds to the service, through a buffer of our own for those that the service
// does not take. Reads all of them at once, and only when that buffer is empty: libssh credits a whole window
// after a read of any size, so small reads would let the sidecar send many times what the service takes.
void Connection::deliver() {
  for (;;) {
    if (!undelivered().empty()) {
      undelivered_start_ += write_service(undelivered());
      if (ended_) return;
      if (!undelivered().empty()) break;
      undelivered_.reset();
      undelivered_start_ = undelivered_end_ = 0;
    }
    if (buffered_ == 0) break;
    undelivered_ = std::make_unique_for_overwrite<std::uint8_t[]>(buffered_);
    const int got = pump_.lib_.ssh_channel_read_nonblocking(channel_, undelivered_.get(),
                                                            static_cast<std::uint32_t>(buffered_), 0);
    if (got <= 0) return end(true);
    undelivered_end_ = static_cast<std::size_t>(got);
    buffered_ -= std::min(buffered_, undelivered_end_);
  }
  settle();
}

// Returns how many bytes were taken. A service that takes no more may still have answered: from then on,
// discards what is sent to it and passes on what it has said.
std::size_t Connection::write_service(std::span<const std::uint8_t> data) {
  if (deaf_) return data.size();
  const auto sent = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return 0;
    deaf_ = true;
    if (service_eof_) end(false);
    return data.size();
  }
  pump_.counters_.bytes_to_host += static_cast<std::uint64_t>(sent);
  return static_cast<std::size_t>(sent);
}

void Connection::settle() {
  if (ended_) return;
  const bool both_have_ended = service_eof_ && (channel_eof_ || deaf_) && unsent_.empty();
  if (all_delivered() && (channel_closed_ || both_have_ended)) return end(channel_closed_ && !service_eof_);
  if (all_delivered() && channel_eof_ && !write_shut_) {
    write_shut_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
  }
  watch();
}

void Connection::end(bool reset) {
  if (ended_) return;
  ended_ = true;
  interest_ = 0;
  if (reset && service_.port != 0) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  socket_.reset();  // also leaves the epoll set
  undelivered_.reset();
  undelivered_start_ = undelivered_end_ = buffered_ = 0;
  pump_.buffered_ -= std::exchange(reckoned_, 0);
  --pump_.counters_.open;
  pump_.ended_.push_back(this);
}

void Connection::send_close() {
  const bool closed_before = channel_closed_;
  close_sent_ = true;
  // When the session's socket is full, ssh_channel_close() alone would send only the end of file.
  pump_.lib_.ssh_channel_send_eof(channel_);
  pump_.lib_.ssh_channel_close(channel_);
  if (closed_before) pump_.closed_.push_back(this);
}

// Sets epoll's interest. Removes a socket without interest from the set: epoll would keep reporting a
// hang-up.
void Connection::watch() {
  if (ended_) return;
  const auto kept = buffered_ + undelivered().size();
  pump_.buffered_ += kept - reckoned_;
  reckoned_ = kept;
  std::uint32_t wanted = 0;
  if (pending_ || kept > 0) wanted |= EPOLLOUT;
  if (!pending_ && !service_eof_ && !blocked_) wanted |= EPOLLIN;
  if (wanted == interest_) return;
  epoll_event event{.events = wanted, .data = {.ptr = this}};
  const int operation = interest_ == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (::epoll_ctl(pump_.everything_.get(), operation, socket_.get(), &event) != 0) return end(true);
  interest_ = wanted;
}

}  // namespace hostnet::ssh
