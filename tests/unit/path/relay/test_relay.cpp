// One connection at a time: bytes, ends, resets, refusals, and each kind of service.
#include "core/sanitized.hpp"
#include "support/forked.hpp"
#include "support/temp_dir.hpp"
#include "unit/path/relay/bed.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace hostnet;
using namespace test;

namespace {

// The relay's two neighbours, joined.
struct Pair {
  Fd client;
  Fd service;
};

// Each kind of service.
class Kinds {
 public:
  struct One {
    std::string name;
    Fd listener;
    relay::Service service;
  };
  Kinds() {
    auto tcp = listen_on(at(0));
    const auto port = local_end(tcp).port;
    all.push_back({"tcp", std::move(tcp), {{relay::ipv4_address("127.0.0.1", port)}}});
    const auto path = (folder_.path() / "s").string();
    all.push_back({"unix", listen_unix(path), {{relay::unix_address(path)}}});
  }
  std::vector<One> all;

 private:
  TempDir folder_;
};

Pair join(const Bed& bed, const Fd& listener) {
  Pair out;
  out.client = bed.connect();
  out.service = accept_from(listener);
  const timeval limit{.tv_sec = 10};
  for (const auto* const fd : {&out.client, &out.service})
    check_call(::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
  return out;
}

}  // namespace

TEST_CASE("small messages and bulk arrive whole, both ways at once") {
  Kinds kinds;
  for (auto& kind : kinds.all) {
    CAPTURE(kind.name);
    const Bed bed(kind.service);
    const auto pair = join(bed, kind.listener);
    const auto& client = pair.client;
    const auto& service = pair.service;
    for (int i = 0; i < 100; ++i) {
      send_all(client, "ping");
      REQUIRE(read_some(service, 4) == "ping");
      send_all(service, "pong");
      REQUIRE(read_some(client, 4) == "pong");
    }
    const auto up = pattern(24U << 20);
    const auto down = pattern((16U << 20) + 1);
    auto send = [](const Fd& fd, const std::string& text) {
      send_all(fd, text);
      ::shutdown(fd.get(), SHUT_WR);
    };
    auto uploading = std::async(std::launch::async, [&] { send(client, up); });
    auto downloading = std::async(std::launch::async, [&] { send(service, down); });
    auto received = std::async(std::launch::async, [&] { return read_to_end(service); });
    CHECK((read_to_end(client) == down));
    CHECK((received.get() == up));
    uploading.get();
    downloading.get();
    CHECK(bed.counters->accepted == 1);
    CHECK(bed.counters->bytes_to_host == up.size() + 400);
    CHECK(bed.counters->bytes_from_host == down.size() + 400);
    CHECK(comes_true([&] { return bed.counters->open == 0; }));
  }
}

TEST_CASE("a half-close passes as one, whichever end begins and whatever is under way") {
  Kinds kinds;
  for (auto& kind : kinds.all) {
    for (const bool client_first : {true, false}) {
      for (const std::size_t before : {std::size_t{0}, std::size_t{5}, std::size_t{3} << 20}) {
        CAPTURE(kind.name);
        CAPTURE(client_first);
        CAPTURE(before);
        const Bed bed(kind.service);
        auto [client, service] = join(bed, kind.listener);
        const auto& first = client_first ? client : service;
        const auto& second = client_first ? service : client;
        const auto text = pattern(before);
        auto sending = std::async(std::launch::async, [&] {
          send_all(first, text);
          ::shutdown(first.get(), SHUT_WR);
        });
        CHECK((read_to_end(second) == text));
        sending.get();
        // The other direction still works, for as long as it likes.
        send_all(second, "late");
        CHECK(read_some(first, 4) == "late");
        CHECK(bed.counters->open == 1);
        ::shutdown(second.get(), SHUT_WR);
        CHECK(read_to_end(first).empty());
        CHECK(comes_true([&] { return bed.counters->open == 0; }));
      }
    }
  }
}

TEST_CASE("a reset passes as one, after what was sent before it") {
  const auto listener = listen_on(at(0));
  const Bed bed(listener);
  for (const bool by_client : {true, false}) {
    for (const auto* const before : {"", "last words"}) {
      CAPTURE(by_client);
      CAPTURE(before);
      auto [client, service] = join(bed, listener);
      auto& dying = by_client ? client : service;
      const auto& other = by_client ? service : client;
      send_all(dying, before);
      if (*before != '\0') CHECK(read_some(other, std::strlen(before)) == before);
      reset_by_linger(std::move(dying));
      CHECK(errno_of_read(other) == ECONNRESET);
      CHECK(comes_true([&] { return bed.counters->open == 0; }));
    }
  }
  // One that has seen the other's end of file learns of a later reset, too.
  auto [client, service] = join(bed, listener);
  ::shutdown(client.get(), SHUT_WR);
  CHECK(read_to_end(service).empty());
  reset_by_linger(std::move(client));
  CHECK(comes_true([&] { return bed.counters->open == 0; }));
  CHECK(errno_of_read(service) == 0);
  // Full buffers do not keep the reset back.
  auto full = join(bed, listener);
  ::fcntl(full.client.get(), F_SETFL, O_NONBLOCK);
  const std::string text(1U << 20, 'x');
  CHECK(comes_true([&] { return ::send(full.client.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0; }));
  reset_by_linger(std::move(full.client));
  CHECK(comes_true([&] { return bed.counters->open == 0; }));
}

TEST_CASE("urgent data does not stop a stream") {
  const auto listener = listen_on(at(0));
  const Bed bed(listener);
  const auto pair = join(bed, listener);
  const auto& client = pair.client;
  const auto& service = pair.service;
  for (int round = 0; round < 20; ++round) {
    send_all(client, "before");
    REQUIRE(::send(client.get(), "!", 1, MSG_OOB) == 1);
    send_all(client, "after");
    REQUIRE(read_some(service, 12) == "before!after");
  }
  // In the middle of a large flow as well, and before its end.
  const auto text = pattern(4U << 20);
  auto sending = std::async(std::launch::async, [&] {
    send_all(client, text);
    REQUIRE(::send(client.get(), "!", 1, MSG_OOB) == 1);
    send_all(client, text);
    ::shutdown(client.get(), SHUT_WR);
  });
  CHECK((read_to_end(service) == text + "!" + text));
  sending.get();
}

TEST_CASE("connects are refused while the service does not listen, and open connections go on") {
  auto listener = listen_on(at(0));
  const auto address = local_end(listener);
  const Bed bed(listener);
  CHECK(bed.try_connect() == 0);
  static_cast<void>(accept_from(listener));
  for (int round = 0; round < 3; ++round) {
    auto [client, service] = join(bed, listener);
    listener.reset();
    CHECK(comes_true([&] { return bed.try_connect() == ECONNREFUSED; }));
    const auto unserved = bed.counters->unserved.load();
    for (int i = 0; i < 50; ++i) REQUIRE(bed.try_connect() == ECONNREFUSED);
    CHECK(bed.counters->unserved == unserved);  // refused by the kernel, not accepted and reset
    send_all(client, "still");
    CHECK(read_some(service, 5) == "still");
    listener = listen_on(address);
    CHECK(comes_true([&] { return bed.try_connect() == 0; }));
    static_cast<void>(accept_from(listener));
  }
}

TEST_CASE("a port without a service refuses from the first moment") {
  auto listener = listen_on(at(0));
  const relay::Service service{{relay::ipv4_address("127.0.0.1", local_end(listener).port)}};
  listener.reset();
  const Bed bed(service);
  CHECK(bed.try_connect() == ECONNREFUSED);
}

TEST_CASE("a service on ::1 alone, on another loopback address, and on a Unix socket that is made anew") {
  const auto v6 = listen_on(in6addr_loopback, 0, true);
  sockaddr_in6 bound{};
  socklen_t size = sizeof bound;
  check_call(::getsockname(v6.get(), reinterpret_cast<sockaddr*>(&bound), &size), "getsockname");
  const Bed by_v6(relay::Service::of(HostPort::same(ntohs(bound.sin6_port))));
  send_all(by_v6.connect(), "six");
  CHECK(read_some(accept_from(v6), 3) == "six");

  const auto other = listen_on({Ipv4{127U << 24 | 77}, 0});
  const Bed by_other(relay::Service{{relay::ipv4_address("127.0.0.77", local_end(other).port)}});
  send_all(by_other.connect(), "77");
  CHECK(read_some(accept_from(other), 2) == "77");

  const TempDir folder;
  const auto path = (folder.path() / "service").string();
  const Bed by_path(relay::Service{{relay::unix_address(path)}});
  CHECK(by_path.try_connect() == ECONNREFUSED);
  {
    const auto first = listen_unix(path);
    CHECK(comes_true([&] { return by_path.try_connect() == 0; }));
  }
  // The file is stale: one connection finds that out.
  CHECK(comes_true([&] { return by_path.try_connect() == ECONNREFUSED; }));
  std::this_thread::sleep_for(20ms);
  CHECK(by_path.try_connect() == ECONNREFUSED);
  std::filesystem::remove(path);
  const auto second = listen_unix(path);
  CHECK(comes_true([&] { return by_path.try_connect() == 0; }));
}

TEST_CASE("a forward that ends resets its connections and refuses, and leaves the others alone") {
  const auto listener = listen_on(at(0));
  Bed bed(listener);
  auto socket = bound_socket();
  const auto second = local_end(socket).port;
  std::optional<Forward> other;
  other.emplace(std::move(socket),
                relay::Service{{relay::ipv4_address("127.0.0.1", local_end(listener).port)}},
                std::make_shared<Counters>(), bed.relay);
  const auto [client, service] = join(bed, listener);
  const auto stays = connect_to(at(second));
  const auto served = accept_from(listener);
  bed.forward.reset();
  CHECK(errno_of_read(client) == ECONNRESET);
  CHECK(errno_of_read(service) == ECONNRESET);
  CHECK(bed.try_connect() == ECONNREFUSED);
  CHECK(bed.counters->open == 0);
  send_all(stays, "on");
  CHECK(read_some(served, 2) == "on");
}

TEST_CASE("a port that another socket took meanwhile is told and not fought for") {
  auto listener = listen_on(at(0));
  const auto address = local_end(listener);
  const Bed bed(listener);
  listener.reset();
  REQUIRE(comes_true([&] { return bed.try_connect() == ECONNREFUSED; }));
  // As a service in a container may: both have SO_REUSEADDR, and ours does not listen.
  const auto theirs = listen_on({Ipv4{}, bed.port});
  listener = listen_on(address);
  CHECK(comes_true([&] { return bed.counters->listen_error == EADDRINUSE; }));
  static_cast<void>(bed.connect());
  static_cast<void>(accept_from(theirs));
}

TEST_CASE(
    "a forked child leaves the parent's forwards alone, keeps nothing open, and has a relay of its own") {
  const auto listener = listen_on(at(0));
  const relay::Service service{{relay::ipv4_address("127.0.0.1", local_end(listener).port)}};
  auto socket = bound_socket();
  const auto port = local_end(socket).port;
  std::optional<Forward> forward;
  forward.emplace(std::move(socket), service, std::make_shared<Counters>());
  const auto client = connect_to(at(port));
  const auto served = accept_from(listener);
  int ends[2];
  check_call(::pipe2(ends, O_CLOEXEC), "pipe");
  Fd go_on(ends[1]);
  Fd theirs(ends[0]);
  const auto child = start_child([&] {
    go_on.reset();
    forward.reset();
    std::optional<Forward> mine;  // until the parent has accepted its connection
    if (!kSanitized) {            // sanitizers do not promise threads in a forked child
      auto own = bound_socket();
      const auto at_child = local_end(own).port;
      mine.emplace(std::move(own), service, std::make_shared<Counters>());
      static_cast<void>(connect_to(at(at_child)));
    }
    char byte = 0;
    if (::read(theirs.get(), &byte, 1) != 0) throw std::runtime_error("read");
  });
  if (!kSanitized) static_cast<void>(accept_from(listener));
  send_all(client, "on");
  CHECK(read_some(served, 2) == "on");
  // The child still has the descriptors.
  forward.reset();
  CHECK(errno_of_read(client) == ECONNRESET);
  CHECK(errno_of_read(served) == ECONNRESET);
  CHECK_THROWS_AS(connect_to(at(port)), std::system_error);
  go_on.reset();
  CHECK(await_child(child) == 0);
}
