// The service's thread and the client's side.
#include "support/service.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace test {
namespace {

using std::chrono::milliseconds;

int milliseconds_of(milliseconds span) { return static_cast<int>(span.count()); }

bool readable(const hostnet::Fd& fd, milliseconds patience) {
  pollfd waiting{.fd = fd.get(), .events = POLLIN};
  return ::poll(&waiting, 1, milliseconds_of(patience)) == 1;
}

std::string name_of(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "(refused)";
    case ECONNRESET:
      return "(reset)";
    case EAGAIN:
    case EINPROGRESS:
    case ETIMEDOUT:
      return "(silence)";
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "(unreachable)";
    default:
      return std::system_category().message(error);
  }
}

std::string first_words(const hostnet::Fd& fd, milliseconds patience) {
  std::array<char, 512> buffer;
  if (!readable(fd, patience)) return "(silence)";
  const auto got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return name_of(errno);
  return got == 0 ? "(closed)" : std::string(buffer.data(), static_cast<std::size_t>(got));
}

hostnet::Fd connect_within(hostnet::Endpoint to, int type, milliseconds patience, int& error) {
  auto fd = open_socket(type | SOCK_NONBLOCK);
  const auto address = socket_address(to);
  error = 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  error = errno;
  if (error != EINPROGRESS) return fd;
  pollfd waiting{.fd = fd.get(), .events = POLLOUT};
  if (::poll(&waiting, 1, milliseconds_of(patience)) == 1) {
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  return fd;
}

}  // namespace

Service::Service(hostnet::Fd socket, std::string greeting, milliseconds chatter)
    : socket_(std::move(socket)),
      stop_(check_call(::eventfd(0, EFD_CLOEXEC), "eventfd")),
      greeting_(std::move(greeting)),
      thread_([this, chatter] { serve(chatter); }) {}

Service::~Service() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void Service::serve(milliseconds chatter) {
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_TYPE, &type, &size);
  std::vector<hostnet::Fd> guests;
  std::array<char, 4096> buffer;
  for (;;) {
    std::vector<pollfd> waiting{{stop_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    for (const auto& guest : guests) waiting.push_back({guest.get(), POLLIN, 0});
    const int ready =
        ::poll(waiting.data(), waiting.size(), chatter.count() > 0 ? milliseconds_of(chatter) : -1);
    if (waiting[0].revents != 0) return;
    if (ready == 0)
      for (const auto& guest : guests) ::send(guest.get(), ".", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    for (std::size_t i = guests.size(); i-- > 0;) {
      if (waiting[i + 2].revents == 0) continue;
      const auto got = ::recv(guests[i].get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) {
        ::send(guests[i].get(), buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
      } else {
        guests.erase(guests.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (waiting[1].revents == 0) continue;
    ++visits_;
    if (type == SOCK_STREAM) {
      hostnet::Fd guest(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!guest) continue;
      ::send(guest.get(), greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
      guests.push_back(std::move(guest));
    } else {
      sockaddr_in from{};
      size = sizeof from;
      ::recvfrom(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                 reinterpret_cast<sockaddr*>(&from), &size);
      ::sendto(socket_.get(), greeting_.data(), greeting_.size(), 0, reinterpret_cast<sockaddr*>(&from),
               size);
    }
  }
}

std::string dial(const NetNs& from, hostnet::Endpoint to, int type, milliseconds patience) {
  return from.run([&] {
    int error = 0;
    const auto fd = connect_within(to, type, patience, error);
    if (error != 0) return name_of(error);
    if (type == SOCK_DGRAM) ::send(fd.get(), "?", 1, 0);
    return first_words(fd, patience);
  });
}

hostnet::Fd join(const NetNs& from, hostnet::Endpoint to) {
  return from.run([&] {
    auto fd = connect_to(to);
    std::array<char, 512> greeting;
    check_call(static_cast<int>(::recv(fd.get(), greeting.data(), greeting.size(), 0)), "recv");
    return fd;
  });
}

bool goes_on(const hostnet::Fd& connection) {
  std::array<char, 512> buffer;
  while (::recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
  if (::send(connection.get(), "ping", 4, MSG_NOSIGNAL) != 4) return false;
  return first_words(connection, milliseconds{1000}) == "ping";
}

std::string end_of(const hostnet::Fd& connection, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto words = first_words(connection, milliseconds{20});
    if (words == "(reset)" || words == "(closed)") return words;
  }
  return "(alive)";
}

}  // namespace test
