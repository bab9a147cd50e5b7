// Many connections at once: none lost, none slowed by another, and want of descriptors is only a wait.
#include "core/sanitized.hpp"
#include "support/forked.hpp"
#include "support/temp_dir.hpp"
#include "unit/path/relay/bed.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

using namespace hostnet;
using namespace test;

namespace {

using Clock = std::chrono::steady_clock;

// Accepts everything and echoes, until the client sends no more; one thread.
class Echo {
 public:
  explicit Echo(Fd listener) : listener_(std::move(listener)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    add(listener_.get());
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;
  ~Echo() {
    thread_.request_stop();
    thread_.join();
    for (const int fd : open_) ::close(fd);
  }
  [[nodiscard]] std::size_t open() const { return count_; }

 private:
  void add(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    check_call(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  void serve(const std::stop_token& stop) {
    std::array<epoll_event, 64> events{};
    std::array<char, 65536> buffer{};
    while (!stop.stop_requested()) {
      const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), 20);
      for (int i = 0; i < ready; ++i) {
        const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
        if (fd == listener_.get()) {
          const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
          if (client < 0) {
            std::this_thread::sleep_for(5ms);  // no descriptor: only the relay may not spin
            continue;
          }
          add(client);
          open_.push_back(client);
          count_ = open_.size();
          continue;
        }
        const auto got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0 && ::send(fd, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got)
          continue;
        if (got < 0 && errno == EAGAIN) continue;
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
        ::shutdown(fd, SHUT_RDWR);
      }
    }
  }

  Fd listener_;
  Fd epoll_;
  std::vector<int> open_;
  std::atomic<std::size_t> count_{0};
  std::jthread thread_;
};

// As many connects as the kernel takes before any is answered.
std::vector<Fd> connect_at_once(std::uint16_t port, std::size_t count) {
  std::vector<Fd> out;
  const auto address = socket_address(at(port));
  for (std::size_t i = 0; i < count; ++i) {
    out.emplace_back(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    if (::connect(out.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
      check_call(-1, "connect");
  }
  return out;
}

bool echoes(const Fd& client, std::chrono::milliseconds limit = 20s) {
  const auto wait = [&](short events) {
    pollfd poll{client.get(), events, 0};
    return ::poll(&poll, 1, static_cast<int>(limit.count())) == 1;
  };
  char byte = '.';
  return wait(POLLOUT) && ::send(client.get(), &byte, 1, MSG_NOSIGNAL) == 1 && wait(POLLIN) &&
         ::recv(client.get(), &byte, 1, 0) == 1;
}

std::size_t resident_bytes() {
  Fd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  std::string text(128, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(file.get(), text.data(), text.size()), 0)));
  return std::stoul(text.substr(text.find(' '))) * 4096;
}

std::chrono::microseconds cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Root may have more than the hard limit.
rlim_t raise_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit many{.rlim_cur = 65'536, .rlim_max = std::max<rlim_t>(limit.rlim_max, 65'536)};
  if (::setrlimit(RLIMIT_NOFILE, &many) == 0) return many.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

class FewDescriptors {
 public:
  /// Only `free` descriptors more can be opened.
  explicit FewDescriptors(rlim_t free) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const Fd next(::dup(0));
    auto few = before_;
    few.rlim_cur = static_cast<rlim_t>(next.get()) + free;
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("512 connects at once are all served, also by a Unix socket with a short queue") {
  raise_descriptors();
  const TempDir folder;
  const auto path = (folder.path() / "s").string();
  struct Kind {
    Fd listener;
    relay::Service service;
  };
  std::array<Kind, 2> kinds;
  kinds[0].listener = listen_on(at(0));
  kinds[0].service = {{relay::ipv4_address("127.0.0.1", local_end(kinds[0].listener).port)}};
  kinds[1].listener = listen_unix(path, 4);
  kinds[1].service = {{relay::unix_address(path)}};
  for (auto& kind : kinds) {
    const Bed bed(kind.service);
    const Echo echo(std::move(kind.listener));
    const auto clients = connect_at_once(bed.port, 512);
    CHECK(std::ranges::all_of(clients, [](const Fd& client) { return echoes(client); }));
    CHECK(bed.counters->accepted == 512);
    CHECK(bed.counters->unserved == 0);
    CHECK(bed.counters->open == 512);
  }
}

TEST_CASE("ten thousand open connections cost little and all work") {
  // The relay has two descriptors for each, so clients and service are processes of their own. They start
  // before the relay's thread: a process with threads forks children that have no locks to rely on.
  const auto count = std::min<std::size_t>(kSanitized ? 1'000 : 10'000, (raise_descriptors() - 100) / 2);
  auto listener = listen_on(at(0));
  check_call(::listen(listener.get(), 4096), "listen");
  const auto pipe = [] {
    int ends[2];
    check_call(::pipe2(ends, O_CLOEXEC), "pipe");
    return std::pair(Fd(ends[0]), Fd(ends[1]));
  };
  Fd orders;
  Fd order;
  Fd reports;
  Fd report;
  std::tie(orders, order) = pipe();
  std::tie(reports, report) = pipe();
  const auto clients = start_child([&] {
    order.reset();
    std::uint16_t port = 0;
    check_call(static_cast<int>(::read(orders.get(), &port, sizeof port)), "read");
    std::vector<Fd> all;
    while (all.size() < count) {
      for (auto& client : connect_at_once(port, std::min<std::size_t>(256, count - all.size())))
        all.push_back(std::move(client));
      if (!echoes(all.back(), 60s)) throw std::runtime_error("no echo of the last one");
    }
    for (const auto& one : all)
      if (!echoes(one, 60s)) throw std::runtime_error("no echo");
    check_call(static_cast<int>(::write(report.get(), "k", 1)), "write");
    [[maybe_unused]] const auto end = ::read(orders.get(), &port, 1);  // until the test goes on
  });
  const auto service = start_child([&] {
    order.reset();
    const Echo echo(std::move(listener));
    pollfd poll{orders.get(), 0, 0};  // until every writer has closed
    ::poll(&poll, 1, -1);
  });
  report.reset();
  {
    const Bed bed(listener);
    const auto before = resident_bytes();
    check_call(static_cast<int>(::write(order.get(), &bed.port, sizeof bed.port)), "write");
    char word = 0;
    REQUIRE(::read(reports.get(), &word, 1) == 1);
    CHECK(bed.counters->open == static_cast<std::int64_t>(count));
    const auto each = (resident_bytes() - before) / count;
    MESSAGE(count << " connections: " << each << " bytes each");
    if (!kSanitized) CHECK(each < 4096);
    order.reset();
    CHECK(await_child(clients) == 0);
    CHECK(comes_true([&] { return bed.counters->open == 0; }, 60s));
  }
  CHECK(await_child(service) == 0);
}

TEST_CASE("stalled readers slow nobody and hold little") {
  auto listener = listen_on(at(0));
  const Bed bed(listener);
  const Echo echo(std::move(listener));
  // More of them than there are pipes. Each sends until nothing more is taken, and reads nothing of its echo.
  std::vector<Fd> stalled;
  const std::string text(1U << 20, 'x');
  for (int i = 0; i < 96; ++i) {
    stalled.push_back(bed.connect());
    ::fcntl(stalled.back().get(), F_SETFL, O_NONBLOCK);
  }
  for (int round = 0; round < 8; ++round)
    for (const auto& one : stalled)
      static_cast<void>(::send(one.get(), text.data(), text.size() / 4, MSG_NOSIGNAL));
  const auto client = bed.connect();
  std::vector<std::chrono::microseconds> all;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    REQUIRE(echoes(client));
    all.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start));
  }
  std::ranges::sort(all);
  MESSAGE("a ping beside 96 stalled readers: " << all[100].count() << " us");
  CHECK(all[100] < 20ms);
  CHECK(bed.counters->open == 97);
}

TEST_CASE("bulk connections share, and a small one beside them is answered soon") {
  const auto listener = listen_on(at(0));
  const Bed bed(listener);
  constexpr std::size_t streams = 8;
  std::vector<Fd> clients;
  std::vector<Fd> services;
  for (std::size_t i = 0; i <= streams; ++i) {
    clients.push_back(bed.connect());
    services.push_back(accept_from(listener));
  }
  std::array<std::atomic<std::uint64_t>, streams> received{};
  std::atomic<bool> over = false;
  std::vector<std::jthread> threads;
  // One thread each sends and reads for all, so that only the relay decides who gets how much.
  for (std::size_t i = 0; i < streams; ++i) {
    ::fcntl(clients[i].get(), F_SETFL, O_NONBLOCK);
    ::fcntl(services[i].get(), F_SETFL, O_NONBLOCK);
  }
  threads.emplace_back([&] {
    const std::string text(64U << 10, 'x');
    while (!over)
      for (std::size_t i = 0; i < streams; ++i)
        static_cast<void>(::send(clients[i].get(), text.data(), text.size(), MSG_NOSIGNAL));
  });
  threads.emplace_back([&] {
    std::vector<char> buffer(64U << 10);
    while (!over)
      for (std::size_t i = 0; i < streams; ++i)
        if (const auto got = ::recv(services[i].get(), buffer.data(), buffer.size(), 0); got > 0)
          received.at(i) += static_cast<std::uint64_t>(got);
  });
  std::vector<std::chrono::microseconds> all;
  for (const auto end = Clock::now() + 400ms; Clock::now() < end;) {
    const auto start = Clock::now();
    send_all(clients[streams], ".");
    CHECK(read_some(services[streams], 1) == ".");
    all.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start));
    std::this_thread::sleep_for(1ms);
  }
  over = true;
  threads.clear();
  std::ranges::sort(all);
  std::vector<std::uint64_t> amounts(received.begin(), received.end());
  std::ranges::sort(amounts);
  MESSAGE("least " << amounts.front() << ", most " << amounts.back()
                   << " bytes; half a ping: " << all[all.size() / 2].count() << " us");
  CHECK(amounts.front() * 3 > amounts.back());
  if (!kSanitized) CHECK(all[all.size() / 2] < 50ms);
}

TEST_CASE("without free descriptors connects wait, and the relay does not spin") {
  auto listener = listen_on(at(0));
  const Bed bed(listener, {});  // with the product's periods
  const Echo echo(std::move(listener));
  auto clients = connect_at_once(bed.port, 1);
  REQUIRE(echoes(clients.front()));
  std::vector<Fd> waiting;
  for (int i = 0; i < 8; ++i)
    waiting.emplace_back(
        check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  // None; one, so that a connection is accepted and cannot be joined; and enough for one.
  for (const rlim_t free : {rlim_t{0}, rlim_t{1}, rlim_t{2}}) {
    CAPTURE(free);
    const FewDescriptors few(free);
    const auto address = socket_address(at(bed.port));
    for (std::size_t i = free * 2; i < free * 2 + 2; ++i)
      static_cast<void>(
          ::connect(waiting[i].get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
    const auto before = cpu_time();
    std::this_thread::sleep_for(200ms);
    CHECK(cpu_time() - before < (kSanitized ? 150ms : 60ms));
    CHECK(echoes(clients.front()));  // the joined ones go on
  }
  for (std::size_t i = 0; i < 6; ++i) CHECK(echoes(waiting[i]));
}

TEST_CASE("above the bound, connects wait for one to end") {
  auto listener = listen_on(at(0));
  const Bed bed(listener, {.most_open = 4, .gate_period = 5ms, .pause = 5ms});
  const Echo echo(std::move(listener));
  auto clients = connect_at_once(bed.port, 6);
  for (std::size_t i = 0; i < 4; ++i) CHECK(echoes(clients[i]));
  CHECK_FALSE(echoes(clients[5], 50ms));
  CHECK(bed.counters->open == 4);
  clients.erase(clients.begin(), clients.begin() + 2);
  CHECK(comes_true([&] { return bed.counters->accepted == 6; }));
  CHECK(bed.counters->open == 4);
}

TEST_CASE("many forwards share one thread and may come and go under load") {
  auto listener = listen_on(at(0));
  const relay::Service service{{relay::ipv4_address("127.0.0.1", local_end(listener).port)}};
  const Echo echo(std::move(listener));
  std::vector<std::jthread> threads;
  std::atomic<int> served = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto socket = bound_socket();
        const auto port = local_end(socket).port;
        const auto counters = std::make_shared<Counters>();
        std::vector<Fd> clients;
        {
          const Forward forward(std::move(socket), service, counters);
          clients = connect_at_once(port, 4);
          if (echoes(clients.front())) ++served;
        }
        if (counters->open != 0) served = -1000;
      }
    });
  }
  threads.clear();
  CHECK(served == 100);
}
