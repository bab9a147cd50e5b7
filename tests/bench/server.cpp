// The service behind every path under test: one process and one thread for all of them, so that no path has a
// faster server than another.
#include "commands.hpp"
#include "socket.hpp"
#include "stream.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace hostnet::bench {
namespace {

/// One accepted connection. Its handlers return false when it is done.
class Connection {
 public:
  Connection(Fd fd, const Pattern& pattern) : fd_(std::move(fd)), pattern_(pattern) {}

  bool on_events(std::uint32_t events, std::vector<char>& buffer) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return false;
    if ((events & EPOLLIN) != 0 && !read_some(buffer)) return false;
    return (events & EPOLLOUT) == 0 || write_some();
  }

  /// What to wait for next.
  [[nodiscard]] std::uint32_t interest() const {
    const bool writes = is_download() || !pending_.empty();
    return (ended_ ? 0U : EPOLLIN) | (writes ? EPOLLOUT : 0U);
  }

 private:
  [[nodiscard]] bool is_download() const { return mode_ == 'd' || mode_ == 'D'; }

  bool read_some(std::vector<char>& buffer) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), kChunk, 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return on_end();
    const char* data = buffer.data();
    auto size = static_cast<std::size_t>(got);
    if (mode_ == 0) {
      mode_ = *data++;
      --size;
      if (std::strchr("epudUD", mode_) == nullptr) return false;
      if (mode_ == 'p') pending_.assign(1, 'p');
    }
    return size == 0 ? write_some() : on_data(data, size);
  }

  bool on_data(const char* data, std::size_t size) {
    if (mode_ == 'e') {
      pending_.append(data, size);
      return write_some();
    }
    if (mode_ != 'u' && mode_ != 'U') return false;
    // A wrong stretch ends the count there: the client sees too low a figure.
    if (position_ == received_ && pattern_.matches(position_, data, size, mode_ == 'U')) position_ += size;
    received_ += size;
    return true;
  }

  bool on_end() {
    ended_ = true;
    if (mode_ == 'u' || mode_ == 'U' || is_download()) {
      pending_.assign(reinterpret_cast<const char*>(&position_), sizeof position_);
      mode_ = 'u';
    }
    return write_some() && !pending_.empty();
  }

  bool write_some() {
    if (is_download()) return stream_some();
    while (!pending_.empty()) {
      const ssize_t sent = ::send(fd_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      pending_.erase(0, static_cast<std::size_t>(sent));
    }
    return !ended_;
  }

  bool stream_some() {
    // A few chunks at a time: the client's half-close must be seen between them.
    for (int i = 0; i < 4; ++i) {
      const ssize_t sent = ::send(fd_.get(), pattern_.at(position_), kChunk, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      position_ += static_cast<std::uint64_t>(sent);
    }
    return true;
  }

  Fd fd_;
  const Pattern& pattern_;
  char mode_ = 0;
  bool ended_ = false;
  std::uint64_t position_ = 0;
  std::uint64_t received_ = 0;
  std::string pending_;
};

class Server {
 public:
  void add_listener(Fd fd) {
    watch(EPOLL_CTL_ADD, fd.get(), EPOLLIN);
    const int number = fd.get();
    listeners_.emplace(number, std::move(fd));
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 64> events{};
    for (;;) {
      const auto count = checked(
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1), "epoll_wait");
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        dispatch(events[i].data.fd, events[i].events);
    }
  }

 private:
  void dispatch(int fd, std::uint32_t events) {
    if (listeners_.contains(fd)) return accept_all(fd);
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    const auto before = found->second->interest();
    if (!found->second->on_events(events, buffer_)) {
      connections_.erase(found);
    } else if (const auto after = found->second->interest(); after != before) {
      watch(EPOLL_CTL_MOD, fd, after);
    }
  }

  void accept_all(int listener) {
    for (;;) {
      Fd fd{::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!fd && (errno == EAGAIN || errno == ECONNABORTED)) return;
      checked(fd.get(), "accept");
      disable_nagle(fd.get());
      const int number = fd.get();
      watch(EPOLL_CTL_ADD, number, EPOLLIN);
      connections_[number] = std::make_unique<Connection>(std::move(fd), pattern_);
    }
  }

  void watch(int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    checked(::epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
  }

  Pattern pattern_;
  std::vector<char> buffer_ = std::vector<char>(kChunk);
  Fd epoll_{static_cast<int>(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"))};
  std::unordered_map<int, Fd> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

void enter_netns(std::string_view name) {
  const std::string path = "/run/netns/" + std::string(name);
  const Fd ns{static_cast<int>(checked(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path.c_str()))};
  checked(::setns(ns.get(), CLONE_NEWNET), "setns");
}

}  // namespace

void run_server(const Arguments& arguments) {
  Server server;
  std::string ports;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--netns" && i + 1 < arguments.size()) {
      enter_netns(arguments[++i]);
      continue;
    }
    Fd listener = listen_on(parse_endpoint(arguments[i]));
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    checked(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size), "getsockname");
    ports.append(1, ' ').append(std::to_string(ntohs(bound.sin_port)));
    server.add_listener(std::move(listener));
  }
  if (ports.empty()) throw std::invalid_argument("server needs at least one ADDRESS:PORT");
  std::cout << "listening" << ports << std::endl;
  server.run();
}

}  // namespace hostnet::bench
