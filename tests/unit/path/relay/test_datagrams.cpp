// Datagrams: whose answer goes where, how long a conversation lives, and true refusal.
#include "unit/path/relay/bed.hpp"

#include <doctest/doctest.h>
#include <net/if.h>

#include <optional>

using namespace hostnet;
using namespace test;

namespace {

Fd udp_at(Endpoint where) {
  Fd fd(check_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  const timeval limit{.tv_sec = 10};
  check_call(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
  const auto address = socket_address(where);
  check_call(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return fd;
}

std::string receive(const Fd& fd) { return read_some(fd, 65536); }

// A service that answers "<its port> <what it got>"; on() and off() bind and close it.
class Answering {
 public:
  explicit Answering() : socket_(udp_at(at(0))), port(local_end(*socket_).port) {}
  void off() { socket_.reset(); }
  void on() { socket_ = udp_at(at(port)); }
  // One datagram.
  std::string serve(std::string_view before = "re: ") {
    std::string text(65536, '\0');
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    auto* const peer = reinterpret_cast<sockaddr*>(&from);
    text.resize(static_cast<std::size_t>(
        check_call(static_cast<int>(::recvfrom(socket_->get(), text.data(), text.size(), 0, peer, &length)),
                   "recvfrom")));
    const auto answer = std::string(before) + text;
    check_call(static_cast<int>(::sendto(socket_->get(), answer.data(), answer.size(), 0, peer, length)),
               "sendto");
    return text;
  }

 private:
  std::optional<Fd> socket_;

 public:
  const std::uint16_t port;
};

struct DatagramBed {
  explicit DatagramBed(std::uint16_t service, relay::DatagramLimits limits = {}, const char* device = nullptr)
      : relay(std::make_shared<Relay>(Limits{.gate_period = 5ms, .datagrams = limits})) {
    port = local_end(udp_at(at(0))).port;
    auto socket = udp_at(at(port));  // by its number: see bound_socket()
    ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
    if (device != nullptr)
      check_call(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, device,
                              static_cast<socklen_t>(std::strlen(device) + 1)),
                 "SO_BINDTODEVICE");
    copy.reset(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    forward.emplace(std::move(socket), relay::Service{{relay::ipv4_address("127.0.0.1", service)}}, counters,
                    relay);
  }
  // A source that has not sent anything yet.
  [[nodiscard]] Fd source() const {
    auto fd = udp_at(at(0));
    const auto address = socket_address(at(port));
    check_call(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    return fd;
  }
  // Whether a datagram is refused, as by a port that nobody has.
  [[nodiscard]] bool refuses() const {
    const auto fd = source();
    send_all(fd, "?");
    pollfd poll{fd.get(), POLLIN, 0};
    ::poll(&poll, 1, 200);
    return ::recv(fd.get(), nullptr, 0, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED;
  }

  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  std::shared_ptr<Relay> relay;
  std::uint16_t port = 0;
  Fd copy;  // of the bound socket
  std::optional<Forward> forward;
};

}  // namespace

TEST_CASE("each source gets the answers to its own datagrams, of any size") {
  Answering service;
  const DatagramBed bed(service.port);
  const auto one = bed.source();
  const auto two = bed.source();
  std::uint64_t up = 0;
  for (const std::size_t size : {std::size_t{3}, std::size_t{1400}, std::size_t{65'000}}) {
    for (const auto* const source : {&one, &two}) {
      auto text = pattern(size);
      text.front() = source == &one ? '1' : '2';
      send_all(*source, text);
      CHECK((service.serve() == text));
      CHECK((receive(*source) == "re: " + text));
      up += size;
    }
  }
  CHECK(::send(one.get(), "", 0, 0) == 0);
  CHECK(service.serve().empty());
  CHECK(receive(one) == "re: ");
  CHECK(bed.counters->accepted == 2);
  CHECK(bed.counters->open == 2);
  CHECK(bed.counters->bytes_to_host == up);
  CHECK(comes_true([&] { return bed.counters->bytes_from_host == up + 7 * 4; }));
}

TEST_CASE("many datagrams at once arrive in order, and so do the answers") {
  Answering service;
  const DatagramBed bed(service.port);
  const auto source = bed.source();
  constexpr int kAtOnce = 100;  // more than one turn moves
  for (int i = 0; i < kAtOnce; ++i) send_all(source, std::to_string(i));
  for (int i = 0; i < kAtOnce; ++i) CHECK(service.serve("") == std::to_string(i));
  for (int i = 0; i < kAtOnce; ++i) CHECK(receive(source) == std::to_string(i));
}

TEST_CASE("while no service is there, datagrams are refused as by a port that nobody has") {
  for (const char* const device : {static_cast<const char*>(nullptr), "lo"}) {
    CAPTURE(device);
    Answering service;
    const DatagramBed bed(service.port, {}, device);
    for (int i = 0; i < 3; ++i) {
      CHECK(comes_true([&] { return !bed.refuses(); }));
      service.off();
      CHECK(comes_true([&] { return bed.refuses(); }));
      service.on();
    }
    CHECK(comes_true([&] { return !bed.refuses(); }));
    const auto source = bed.source();
    send_all(source, "hello");
    while (service.serve() != "hello") {
    }
    CHECK(receive(source) == "re: hello");
    std::array<char, IFNAMSIZ> name{};
    socklen_t size = name.size();
    CHECK(::getsockopt(bed.copy.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size) == 0);
    CHECK(std::string(name.data()) == (device == nullptr ? "" : device));
  }
}

TEST_CASE("a conversation ends when it has been quiet, sooner if it was never answered") {
  Answering service;
  const DatagramBed bed(service.port, {.unanswered = 1s, .quiet = 100'000ms});
  const auto answered = bed.source();
  send_all(answered, "a");
  CHECK(service.serve() == "a");
  CHECK(receive(answered) == "re: a");
  const auto ignored = bed.source();
  send_all(ignored, "b");
  CHECK(comes_true([&] { return bed.counters->accepted == 2 && bed.counters->open == 1; }));
  // It may come again.
  CHECK(service.serve("too late: ") == "b");
  send_all(ignored, "c");
  CHECK(service.serve() == "c");
  CHECK(receive(ignored) == "re: c");
  CHECK(bed.counters->accepted == 3);
  const DatagramBed brief(service.port, {.unanswered = 100'000ms, .quiet = 20ms});
  const auto source = brief.source();
  send_all(source, "d");
  CHECK(service.serve() == "d");
  CHECK(receive(source) == "re: d");
  CHECK(comes_true([&] { return brief.counters->open == 0; }));
}

TEST_CASE("the conversation that has been quiet longest makes room for a new one") {
  Answering service;
  const DatagramBed bed(service.port, {.most_conversations = 2});
  std::vector<Fd> sources;
  for (int i = 0; i < 3; ++i) {
    sources.push_back(bed.source());
    send_all(sources.back(), "first");
    CHECK(service.serve() == "first");
    CHECK(receive(sources.back()) == "re: first");
  }
  CHECK(bed.counters->open == 2);
  send_all(sources[0], "again");
  CHECK(service.serve() == "again");
  CHECK(receive(sources[0]) == "re: again");
  CHECK(bed.counters->accepted == 4);
}

TEST_CASE("a forward's end refuses, even where a forked child still has its socket") {
  Answering service;
  DatagramBed bed(service.port);
  const auto source = bed.source();
  send_all(source, "a");
  CHECK(service.serve() == "a");
  CHECK(receive(source) == "re: a");
  bed.forward.reset();
  CHECK(bed.counters->open == 0);
  CHECK(bed.refuses());  // `copy` is such a descriptor
}
