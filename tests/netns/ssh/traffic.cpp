// Moves bytes, counts them, and measures the cost.
#include "ssh/traffic.hpp"

#include "core/file.hpp"
#include "support/sockets.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>

namespace test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

int left_until(Clock::time_point end) {
  return static_cast<int>(std::max<long>(0, std::chrono::ceil<milliseconds>(end - Clock::now()).count()));
}

// Long enough for any transfer that is not stuck, on any machine.
void be_patient(const hostnet::Fd& fd) {
  const timeval limit{.tv_sec = 240};  // one of 256 waits for the others, which takes long on a busy machine
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

}  // namespace

std::size_t send_pattern(const hostnet::Fd& to, std::size_t length) {
  be_patient(to);
  std::vector<std::uint8_t> chunk(64U << 10);
  std::size_t sent = 0;
  while (sent < length) {
    const auto size = std::min(chunk.size(), length - sent);
    for (std::size_t i = 0; i < size; ++i) chunk[i] = pattern(sent + i);
    std::size_t done = 0;
    while (done < size) {
      const auto wrote = ::send(to.get(), chunk.data() + done, size - done, MSG_NOSIGNAL);
      if (wrote <= 0) return sent + done;
      done += static_cast<std::size_t>(wrote);
    }
    sent += size;
  }
  return sent;
}

std::size_t receive_pattern(const hostnet::Fd& from, int* error) {
  be_patient(from);
  std::vector<std::uint8_t> chunk(64U << 10);
  std::size_t received = 0;
  for (;;) {
    const auto got = ::recv(from.get(), chunk.data(), chunk.size(), 0);
    if (got == 0) return received;
    if (got < 0 && error != nullptr) {
      *error = errno;
      return received;
    }
    check_call(static_cast<int>(got), "recv");
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i)
      if (chunk[i] != pattern(received + i))
        throw std::runtime_error("wrong byte at " + std::to_string(received + i));
    received += static_cast<std::size_t>(got);
  }
}

Listener::Listener(hostnet::Fd socket, std::function<void(hostnet::Fd)> serve)
    : socket_(std::move(socket)), stop_(check_call(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  thread_ = std::jthread([this, serve = std::move(serve)] {
    std::array<pollfd, 2> waiting{{{stop_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
    while (::poll(waiting.data(), waiting.size(), -1) > 0 && waiting[0].revents == 0)
      servers_.emplace_back(
          [serve](hostnet::Fd guest) {
            try {
              serve(std::move(guest));
            } catch (const std::exception&) {  // the other side reports it
            }
          },
          accept_from(socket_));
  });
}

Listener::~Listener() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

Burst connect_all(hostnet::Endpoint to, int count, milliseconds patience) {
  Burst burst;
  std::vector<hostnet::Fd> pending;
  const auto address = socket_address(to);
  for (int i = 0; i < count; ++i) {
    hostnet::Fd fd(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    pending.push_back(std::move(fd));
  }
  const auto end = Clock::now() + patience;
  while (!pending.empty() && Clock::now() < end) {
    std::vector<pollfd> waiting;
    for (const auto& fd : pending) waiting.push_back({fd.get(), POLLOUT, 0});
    ::poll(waiting.data(), waiting.size(), left_until(end));
    for (std::size_t i = pending.size(); i-- > 0;) {
      if (waiting[i].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(pending[i].get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) {
        burst.connected.push_back(std::move(pending[i]));
      } else {
        ++burst.refused;
      }
      pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  burst.refused += static_cast<int>(pending.size());
  return burst;
}

int greeted(const std::vector<hostnet::Fd>& connections, milliseconds patience) {
  const auto end = Clock::now() + patience;
  int count = 0;
  std::array<char, 64> words;
  for (const auto& connection : connections) {
    pollfd waiting{.fd = connection.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, left_until(end)) == 1 &&
        ::recv(connection.get(), words.data(), words.size(), MSG_DONTWAIT) > 0)
      ++count;
  }
  return count;
}

milliseconds cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) { return milliseconds{time.tv_sec * 1000 + time.tv_usec / 1000}; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

std::size_t resident_mib() {
  const auto statm = hostnet::try_read_file("/proc/self/statm").value_or("0 0");
  return std::stoul(statm.substr(statm.find(' '))) * 4096 >> 20;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace test
