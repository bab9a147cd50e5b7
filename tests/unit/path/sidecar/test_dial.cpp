// Waiting for a sidecar's sshd: which way is taken, and whose fault it is when none leads there.
#include "hostnet/error.hpp"
#include "path/sidecar/dial.hpp"
#include "support/expect_error.hpp"
#include "support/sockets.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace std::chrono_literals;
using ssh::Way;
using Clock = std::chrono::steady_clock;

namespace {

const Endpoint kAnyPort{test::ip("127.0.0.1"), 0};

Way way_to(const std::string& name, const IpEndpoint& endpoint,
           std::chrono::milliseconds head_start = 250ms) {
  return {.text = name, .endpoint = endpoint, .head_start = head_start};
}

// A port of 127.0.0.1 at which nothing listens.
struct Closed {
  Closed() {
    const auto any = test::socket_address(kAnyPort);
    test::check_call(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
  }
  [[nodiscard]] IpEndpoint at() const { return test::local_end(socket); }
  Fd socket = test::open_socket();
};

// Accepts and says these words; or nothing.
class Says {
 public:
  explicit Says(std::string words) : words_(std::move(words)) {}
  ~Says() { ::shutdown(listener_.get(), SHUT_RDWR); }
  [[nodiscard]] IpEndpoint at() const { return test::local_end(listener_); }
  [[nodiscard]] int guests() const { return guests_; }

 private:
  void run() {
    std::vector<Fd> open;
    for (;;) {
      Fd guest(::accept(listener_.get(), nullptr, nullptr));
      if (!guest) return;
      ++guests_;
      ::send(guest.get(), words_.data(), words_.size(), MSG_NOSIGNAL);
      open.push_back(std::move(guest));
    }
  }

  std::string words_;
  Fd listener_ = test::listen_on(kAnyPort);
  std::atomic<int> guests_ = 0;
  std::jthread thread_{[this] { run(); }};
};

IpEndpoint remote_end(const Fd& connection) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  test::check_call(::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&address), &size),
                   "getpeername");
  return Endpoint{Ipv4::from_network(address.sin_addr.s_addr), ntohs(address.sin_port)};
}

struct Done {
  std::size_t way = 0;
  std::chrono::milliseconds took{0};
};

// Takes the connections to `ours` alone.
Done dialled(const std::vector<Way>& ways, const IpEndpoint& ours) {
  const auto start = Clock::now();
  const auto accept = [&](const Fd& connection, Deadline) {
    if (remote_end(connection) != ours)
      throw ssh::NotOurSshd(Errc::conflict, "ssh handshake: the server's host key is not the sidecar's");
  };
  const auto way = ssh::dial_sshd(
      ways, Deadline::after(8s), [] {}, accept);
  return {way, std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start)};
}

Error no_way(const std::vector<Way>& ways, std::chrono::milliseconds limit) {
  return test::error_of([&] {
    ssh::dial_sshd(
        ways, Deadline::after(limit), [] {},
        [](const Fd&, Deadline) {
          throw ssh::NotOurSshd(Errc::conflict, "ssh handshake: the server's host key is not the sidecar's");
        });
  });
}

// What is said at the end of the deadline where a silent service is dialled.
std::string said(std::chrono::milliseconds limit, std::chrono::milliseconds look) {
  const auto silent = test::open_socket();
  auto address = test::socket_address({test::ip("127.0.0.1"), 0});
  test::check_call(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  test::check_call(::listen(silent.get(), 8), "listen");
  socklen_t length = sizeof address;
  test::check_call(::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&address), &length),
                   "getsockname");
  const auto deadline = Deadline::after(limit);
  const auto error = test::error_of([&] {
    const auto way = way_to("silent", {test::ip("127.0.0.1"), ntohs(address.sin_port)});
    const auto still_there = [&] {
      std::this_thread::sleep_for(look);
      if (deadline.expired()) throw Error(Errc::timed_out, "the engine gave no answer in time");
    };
    ssh::dial_sshd({&way, 1}, deadline, still_there, [](const Fd&, Deadline) {});
  });
  CHECK(error.code() == Errc::timed_out);
  return error.what();
}

}  // namespace

TEST_CASE("a look at the engine that the deadline cuts off hides nothing of sshd's silence") {
  CHECK(said(900ms, 10ms).find("it accepts the connection and sends no banner") != std::string::npos);
  CHECK(said(900ms, 800ms).find("it accepts the connection and sends no banner") != std::string::npos);
}

TEST_CASE("an engine that hangs is told as that") {
  CHECK(said(900ms, 2'300ms) == "the engine gave no answer in time");
}

TEST_CASE("the first way that leads to our sshd is taken, and the rest are not waited for") {
  const Says ours("SSH-2.0-ours\r\n");
  const Says stranger("SSH-2.0-other\r\n");
  const Says silent("");
  const Says web("HTTP/1.1 400\r\n");
  const Closed closed;
  SUBCASE("the first serves") {
    const auto done = dialled({way_to("ours", ours.at()), way_to("silent", silent.at())}, ours.at());
    CHECK(done.way == 0);
    CHECK(silent.guests() == 0);
  }
  SUBCASE("another host key moves on at once") {
    const auto done = dialled({way_to("stranger", stranger.at(), 5s), way_to("ours", ours.at())}, ours.at());
    CHECK(done.way == 1);
    CHECK(done.took < 1s);
    CHECK(stranger.guests() == 1);  // and it is not asked again
  }
  SUBCASE("a refusal shortens the wait") {
    const auto done = dialled({way_to("closed", closed.at(), 5s), way_to("ours", ours.at())}, ours.at());
    CHECK(done.way == 1);
    CHECK(done.took < 2s);
  }
  SUBCASE("a network that is not there, too") {
    const auto done =
        dialled({way_to("gone", {Ip::parse("2001:db8::1").value(), 22}, 300ms), way_to("ours", ours.at())},
                ours.at());
    CHECK(done.way == 1);
  }
  SUBCASE("silence costs no more than the head start, and keeps its connection") {
    const auto done = dialled({way_to("silent", silent.at(), 300ms), way_to("ours", ours.at())}, ours.at());
    CHECK(done.way == 1);
    CHECK(done.took >= 300ms);
    CHECK(done.took < 2s);
    CHECK(silent.guests() == 1);
  }
  SUBCASE("what is no sshd") {
    const auto done = dialled({way_to("web", web.at(), 300ms), way_to("ours", ours.at())}, ours.at());
    CHECK(done.way == 1);
  }
  SUBCASE("a banner, and then silence") {
    const std::vector<Way> ways{way_to("stranger", stranger.at()), way_to("ours", ours.at())};
    const auto shake_hands = [&](const Fd& connection, Deadline handshake) {
      if (remote_end(connection) == ours.at()) return;
      CHECK(handshake.remaining() <= 200ms);
      pollfd silence{-1, 0, 0};
      ::poll(&silence, 1, handshake.poll_timeout());
      throw ssh::NotOurSshd(Errc::timed_out, "ssh handshake: the sidecar gave no answer in time");
    };
    CHECK(ssh::dial_sshd(
              ways, Deadline::after(20s), [] {}, shake_hands, 200ms) == 1);
    CHECK(stranger.guests() == 1);  // it is out
    // The only way has the whole time.
    ssh::dial_sshd(
        {&ways[1], 1}, Deadline::after(20s), [] {},
        [](const Fd&, Deadline handshake) { CHECK(handshake.remaining() > 10s); }, 200ms);
  }
  SUBCASE("a stream") {
    Way stream{.text = "stream", .endpoint = {}};
    stream.open = [&](Deadline) -> ssh::Stream {
      int ends[2];
      test::check_call(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                       "socketpair");
      const Fd theirs(ends[1]);
      ::send(theirs.get(), "SSH-2.0-x\r\n", 11, MSG_NOSIGNAL);
      return {Fd(ends[0]), nullptr};
    };
    CHECK(ssh::dial_sshd(
              std::vector{way_to("closed", closed.at()), stream}, Deadline::after(8s), [] {},
              [](const Fd&, Deadline) {}) == 1);
  }
}

TEST_CASE("without a way each reason is told in one line, before the deadline if nothing can change") {
  const Says stranger("SSH-2.0-other\r\n");
  const Says silent("");
  const Closed closed;
  const auto start = Clock::now();
  const auto wrong = no_way({way_to("first", stranger.at(), 5s), way_to("second", stranger.at())}, 8s);
  CHECK(Clock::now() - start < 4s);
  CHECK(wrong.code() == Errc::conflict);
  const std::string not_ours = "ssh handshake: the server's host key is not the sidecar's";
  CHECK(wrong.what() == fmt::format("ssh banner: the sidecar's sshd does not serve: first: {}; second: {}",
                                    not_ours, not_ours));
  Way stream{.text = "stream", .endpoint = {}};
  stream.open = [&](Deadline) -> ssh::Stream { throw Error(Errc::engine_error, "the engine says no"); };
  const auto late = no_way({way_to("silent", silent.at()), way_to("closed", closed.at()), stream}, 1500ms);
  CHECK(late.code() == Errc::timed_out);
  CHECK(
      std::string(late.what()) ==
      "ssh banner: the sidecar's sshd does not serve: silent: it accepts the connection and sends no banner; "
      "closed: Connection refused; stream: the engine says no");
}
