// The measuring side. Every metric warms its path up first, is bounded in time, and checks what it was given:
// a path that loses, doubles or alters a byte fails its measurement instead of looking fast.
#include "commands.hpp"
#include "socket.hpp"
#include "stream.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kWarmUp{0.05};
constexpr std::size_t kHeld = 2000;
constexpr std::size_t kBurst = 512;

Clock::time_point after(Seconds span) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(span);
}
double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }

struct Moved {
  std::uint64_t bytes = 0;
  double seconds = 0;
};

/// From the first byte sent to the server's receipt for the last one: what sits in a proxy's buffers at the end
/// does not count as delivered.
Moved upload(const sockaddr_in& server, const Pattern& pattern, Seconds span, bool every_byte) {
  const Fd fd = connect_to(server);
  const auto start = Clock::now();
  const auto deadline = after(span);
  send_all(fd.get(), every_byte ? "U" : "u", 1);
  std::uint64_t sent = 0;
  for (; Clock::now() < deadline; sent += kChunk) send_all(fd.get(), pattern.at(sent), kChunk);
  checked(::shutdown(fd.get(), SHUT_WR), "shutdown");
  std::uint64_t confirmed = 0;
  receive_all(fd.get(), &confirmed, sizeof confirmed);
  const double elapsed = seconds_since(start);
  if (confirmed != sent)
    throw std::runtime_error(fmt::format("upload: {} bytes sent, {} arrived right", sent, confirmed));
  return {sent, elapsed};
}

Moved download(const sockaddr_in& server, const Pattern& pattern, Seconds span, bool every_byte) {
  std::uint64_t position = 0;
  // The stream's last 8 bytes are its length, known as such only at the end: hold back as many on each read.
  std::size_t held = 0;
  std::vector<char> buffer(sizeof position + kChunk);
  const Fd fd = connect_to(server);
  const auto start = Clock::now();
  const auto deadline = after(span);
  send_all(fd.get(), every_byte ? "D" : "d", 1);
  for (bool stopped = false;;) {
    const auto got =
        static_cast<std::size_t>(checked(::recv(fd.get(), buffer.data() + held, kChunk, 0), "recv"));
    if (got == 0) break;
    const std::size_t available = held + got;
    const std::size_t stream = available - std::min(available, sizeof position);
    if (!pattern.matches(position, buffer.data(), stream, every_byte))
      throw std::runtime_error(fmt::format("download: wrong bytes after {}", position));
    position += stream;
    held = available - stream;
    std::memmove(buffer.data(), buffer.data() + stream, held);
    if (!stopped && Clock::now() >= deadline) {
      checked(::shutdown(fd.get(), SHUT_WR), "shutdown");
      stopped = true;
    }
  }
  const double elapsed = seconds_since(start);
  std::uint64_t length = 0;
  std::memcpy(&length, buffer.data(), sizeof length);
  if (held != sizeof length || length != position)
    throw std::runtime_error(fmt::format("download: {} bytes sent, {} arrived", length, position));
  return {position, elapsed};
}

/// A ping that no other connection and no other turn sends.
std::array<char, kPing> ping_of(std::size_t connection, std::uint64_t turn) {
  std::array<char, kPing> ping{};
  for (std::size_t i = 0; i < kPing; ++i) ping[i] = static_cast<char>(i * 7 + connection * 31 + turn);
  std::memcpy(ping.data(), &turn, sizeof turn);
  return ping;
}

void check_pong(const std::array<char, kPing>& ping, const std::array<char, kPing>& pong) {
  if (ping != pong) throw std::runtime_error("request: the echo differs from what was sent");
}

double quantile(std::vector<double>& values, double q) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// One connection, one request in flight; prints the rate and the latencies' quantiles.
void request(const sockaddr_in& server, Seconds span) {
  const Fd fd = connect_to(server);
  send_all(fd.get(), "e", 1);
  std::vector<double> micros;
  micros.reserve(1'000'000);
  std::array<char, kPing> pong{};
  std::uint64_t turn = 0;
  const auto ping_pong = [&] {
    const auto ping = ping_of(0, ++turn);
    send_all(fd.get(), ping.data(), ping.size());
    receive_all(fd.get(), pong.data(), pong.size());
    check_pong(ping, pong);
  };
  for (const auto end = after(kWarmUp); Clock::now() < end;) ping_pong();
  const auto start = Clock::now();
  for (auto before = start; Seconds(before - start) < span;) {
    ping_pong();
    const auto now = Clock::now();
    micros.push_back(std::chrono::duration<double, std::micro>(now - before).count());
    before = now;
  }
  const double elapsed = seconds_since(start);
  fmt::print("{{\"request\": {}, \"p50\": {}, \"p99\": {}, \"count\": {}}}\n",
             static_cast<double>(micros.size()) / elapsed, quantile(micros, 0.5), quantile(micros, 0.99),
             micros.size());
}

class Epoll {
 public:
  void set(int operation, int fd, std::uint32_t events, std::size_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    checked(::epoll_ctl(fd_.get(), operation, fd, &event), "epoll_ctl");
  }

  /// Calls back with the tag of each ready descriptor. @throws std::runtime_error after ten seconds without
  /// an event.
  template <class Callback>
  void wait(const Callback& callback) {
    const int capacity = static_cast<int>(events_.size());
    const auto count = checked(::epoll_wait(fd_.get(), events_.data(), capacity, 10'000), "epoll_wait");
    if (count == 0) throw std::runtime_error("no answer for ten seconds");
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) callback(events_[i].data.u64);
  }

 private:
  Fd fd_{static_cast<int>(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"))};
  std::array<epoll_event, 64> events_{};
};

/// Keep-alive requests/s over `connections` connections, one request in flight on each; prints the rate and
/// the latencies' quantiles.
void request_many(const sockaddr_in& server, Seconds span, std::size_t connections) {
  struct Slot {
    Fd fd;
    std::uint64_t turn = 0;
    Clock::time_point asked;
    std::array<char, kPing> ping{};
  };
  std::vector<Slot> slots(connections);
  Epoll epoll;
  const auto send_next = [&slots](std::size_t i) {
    slots[i].ping = ping_of(i, ++slots[i].turn);
    slots[i].asked = Clock::now();
    send_all(slots[i].fd.get(), slots[i].ping.data(), kPing);
  };
  for (std::size_t i = 0; i < connections; ++i) {
    slots[i].fd = connect_to(server);
    send_all(slots[i].fd.get(), "e", 1);
    epoll.set(EPOLL_CTL_ADD, slots[i].fd.get(), EPOLLIN, i);
  }
  std::vector<double> micros;
  const auto run_for = [&](Seconds duration) {
    const auto start = Clock::now();
    const auto deadline = after(duration);
    micros.clear();
    std::size_t in_flight = connections;
    for (std::size_t i = 0; i < connections; ++i) send_next(i);
    while (in_flight > 0)
      epoll.wait([&](std::size_t i) {
        std::array<char, kPing> pong{};
        receive_all(slots[i].fd.get(), pong.data(), pong.size());
        check_pong(slots[i].ping, pong);
        const auto now = Clock::now();
        micros.push_back(std::chrono::duration<double, std::micro>(now - slots[i].asked).count());
        if (now < deadline) return send_next(i);
        --in_flight;
      });
    return static_cast<double>(micros.size()) / seconds_since(start);
  };
  run_for(kWarmUp);
  const double rate = run_for(span);
  fmt::print("{{\"request{0}\": {1}, \"p50_{0}\": {2}, \"p99_{0}\": {3}}}\n", connections, rate,
             quantile(micros, 0.5), quantile(micros, 0.99));
}

/// Opens many connections, uses each once, prints their number and holds them for a while.
void hold(const sockaddr_in& server, Seconds span) {
  std::vector<Fd> sockets;
  while (sockets.size() < kHeld) {
    const auto first = sockets.size();
    for (int i = 0; i < 50; ++i) sockets.push_back(connect_to(server));
    for (auto i = first; i < sockets.size(); ++i) send_all(sockets[i].get(), "p", 1);
    for (auto i = first; i < sockets.size(); ++i) {
      char answer = 0;
      receive_all(sockets[i].get(), &answer, 1);
      if (answer != 'p') throw std::runtime_error("hold: wrong answer");
    }
  }
  fmt::print("{{\"hold\": {}}}\n", sockets.size());
  std::fflush(stdout);
  std::this_thread::sleep_for(span);
}

/// Starts a download and reads nothing of it; prints how many bytes have arrived once no more fit, then holds
/// the connection for a while.
void stall(const sockaddr_in& server, Seconds span) {
  const Fd fd = connect_to(server);
  send_all(fd.get(), "d", 1);
  int waiting = 0;
  int unchanged = 0;
  for (const auto deadline = after(Seconds{10}); waiting == 0 || unchanged < 10;) {
    if (Clock::now() > deadline) throw std::runtime_error("stall: what waits to be read does not settle");
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    int now = 0;
    checked(::ioctl(fd.get(), FIONREAD, &now), "FIONREAD");
    unchanged = now == waiting ? unchanged + 1 : 0;
    waiting = now;
  }
  fmt::print("{{\"stall\": {}}}\n", waiting);
  std::fflush(stdout);
  std::this_thread::sleep_for(span);
}

/// New connections/s: connect, a byte each way, close. The close is a reset, so that neither end keeps the
/// port busy in TIME_WAIT and the next round finds all ports free.
double connect_many(const sockaddr_in& server, Seconds span, std::size_t at_once) {
  std::vector<Fd> sockets(at_once);
  std::vector<bool> asked(at_once);
  Epoll epoll;
  const auto start_one = [&](std::size_t i) {
    sockets[i] = start_connect(server);
    asked[i] = false;
    epoll.set(EPOLL_CTL_ADD, sockets[i].get(), EPOLLOUT, i);
  };
  const auto deadline = after(span);
  const auto start = Clock::now();
  std::size_t done = 0;
  std::size_t open = at_once;
  for (std::size_t i = 0; i < at_once; ++i) start_one(i);
  while (open > 0)
    epoll.wait([&](std::size_t i) {
      const int fd = sockets[i].get();
      if (!asked[i]) {
        send_all(fd, "p", 1);
        asked[i] = true;
        return epoll.set(EPOLL_CTL_MOD, fd, EPOLLIN, i);
      }
      char answer = 0;
      receive_all(fd, &answer, 1);
      if (answer != 'p') throw std::runtime_error("connect: wrong answer");
      const linger reset{1, 0};
      checked(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
      sockets[i].reset();
      ++done;
      if (Clock::now() < deadline) return start_one(i);
      --open;
    });
  return static_cast<double>(done) / seconds_since(start);
}

/// All connects at once, a byte each way on every one, close: milliseconds until the last one is answered.
double burst(const sockaddr_in& server) {
  return 1000 * static_cast<double>(kBurst) / connect_many(server, Seconds{0}, kBurst);
}

/// One byte each way, then an orderly end: the path works.
void check(const sockaddr_in& server) {
  const Fd fd = connect_to(server);
  send_all(fd.get(), "p", 1);
  char answer = 0;
  receive_all(fd.get(), &answer, 1);
  if (answer != 'p') throw std::runtime_error("check: wrong answer");
}

}  // namespace

void run_client(const Arguments& arguments) {
  if (arguments.size() != 3) throw std::invalid_argument("client METRIC ADDRESS:PORT SECONDS");
  const auto& metric = arguments[0];
  const auto server = parse_endpoint(arguments[1]);
  double seconds = 0;
  const auto text = arguments[2];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || !(seconds > 0 && seconds <= 60))
    throw std::invalid_argument("SECONDS must be above 0 and at most 60");
  const Seconds span{seconds};
  // SIGALRM ends the process wherever it hangs.
  ::alarm(static_cast<unsigned>(seconds) + 20);

  if (metric == "check") {
    check(server);
    fmt::print("{{}}\n");
  } else if (metric == "upload" || metric == "download") {
    const Pattern pattern;
    const auto move = metric == "upload" ? upload : download;
    const auto warm = move(server, pattern, kWarmUp, true);
    const auto moved = move(server, pattern, span, false);
    // The rate in MB/s (10^6 bytes), and all bytes, for the CPU time that a path took for them.
    fmt::print("{{\"{}\": {}, \"bytes\": {}}}\n", metric,
               static_cast<double>(moved.bytes) / 1e6 / moved.seconds, warm.bytes + moved.bytes);
  } else if (metric == "request") {
    request(server, span);
  } else if (metric == "request32") {
    request_many(server, span, 32);
  } else if (metric == "request256") {
    request_many(server, span, 256);
  } else if (metric == "connect" || metric == "connect32") {
    const std::size_t at_once = metric == "connect" ? 8 : 32;
    connect_many(server, kWarmUp, at_once);
    fmt::print("{{\"{}\": {}}}\n", metric, connect_many(server, span, at_once));
  } else if (metric == "burst") {
    connect_many(server, kWarmUp, 8);
    fmt::print("{{\"burst\": {}}}\n", burst(server));
  } else if (metric == "hold") {
    hold(server, span);
  } else if (metric == "stall") {
    stall(server, span);
  } else {
    throw std::invalid_argument("no such metric: " + std::string(metric));
  }
}

}  // namespace hostnet::bench
