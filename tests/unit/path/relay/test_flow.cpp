// What a flow does next, and the services that listen: without a socket.
#include "path/relay/flow.hpp"
#include "path/relay/presence.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::relay;

namespace {

constexpr std::size_t kPlenty = kFlowBudget;

Flow open_flow() {
  Flow flow;
  flow.source_readable();
  flow.destination_writable();
  return flow;
}

netlink::Listener listener(std::array<std::uint8_t, 16> address, std::uint16_t port, bool ipv6 = false) {
  netlink::Listener out;
  out.ipv6 = ipv6;
  out.address = address;
  out.port = port;
  return out;
}

}  // namespace

TEST_CASE("a flow reads only what its destination can take") {
  Flow flow;
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.source_readable();
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.destination_writable();
  CHECK(flow.next(kPlenty) == Act::copy);
  CHECK(flow.next(0) == Act::yield);
  flow.copied(100, kCopyRoom);
  CHECK(flow.next(kPlenty) == Act::deliver);
  flow.delivered(40);
  flow.destination_full();
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.source_readable();
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.destination_writable();
  CHECK(flow.next(0) == Act::deliver);  // what is held has been paid for
  flow.delivered(60);
  CHECK(flow.held() == 0);
}

TEST_CASE("a short read is the last one, unless an end or urgent data is behind it") {
  auto flow = open_flow();
  flow.copied(100, kCopyRoom);
  flow.delivered(100);
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.source_readable();
  flow.copied(kCopyRoom, kCopyRoom);
  flow.delivered(kCopyRoom);
  CHECK(flow.next(kPlenty) == Act::copy);
  flow.drained();
  CHECK(flow.next(kPlenty) == Act::wait);
  flow.source_has_more_behind();
  flow.copied(100, kCopyRoom);
  flow.delivered(100);
  CHECK(flow.next(kPlenty) == Act::copy);
}

TEST_CASE("an end is passed on once, after everything before it") {
  auto flow = open_flow();
  flow.source_has_more_behind();
  flow.copied(10, kCopyRoom);
  flow.ended();
  CHECK(flow.next(kPlenty) == Act::deliver);
  flow.delivered(10);
  CHECK(flow.next(0) == Act::pass_end);
  flow.passed_end();
  CHECK(flow.next(kPlenty) == Act::wait);
  CHECK(flow.end_passed());
}

TEST_CASE("a large flow is spliced, and small messages are copied") {
  auto flow = open_flow();
  const auto read = [&](std::size_t size, std::size_t room) {
    flow.copied(size, room);
    flow.delivered(size);
    flow.source_readable();
  };
  read(kLargeRead, kLargeRead);
  CHECK(flow.next(kPlenty) == Act::copy);
  read(kLargeRead, kLargeRead);
  CHECK(flow.next(kPlenty) == Act::splice);
  // Nothing came: recv(2) decides whether the source has ended, and the flow stays large.
  flow.splice_gave_nothing();
  CHECK(flow.next(kPlenty) == Act::copy);
  read(kLargeRead, kLargeRead);
  CHECK(flow.next(kPlenty) == Act::splice);
  flow.spliced(kSmallSplice - 1);
  flow.delivered(kSmallSplice - 1);
  CHECK(flow.next(kPlenty) == Act::copy);
}

TEST_CASE("what stalled readers hold is bounded, and nobody is stopped") {
  CHECK(copy_room(0) == kCopyRoom);
  CHECK(copy_room(1U << 20) == kCopyRoom);
  CHECK(copy_room(100U << 20) > 0);
  CHECK(copy_room(100U << 20) < kCopyRoom / 8);
}

TEST_CASE("a service listens at its own address and port") {
  const Service service{{ipv4_address("127.0.0.9", 80)}};
  CHECK_FALSE(listens(service, {}));
  CHECK(listens(service, std::array{listener({127, 0, 0, 9}, 80)}));
  CHECK(listens(service, std::array{listener({}, 80)}));
  CHECK(listens(service, std::array{listener({}, 80, true)}));
  CHECK_FALSE(listens(service, std::array{listener({127, 0, 0, 1}, 80)}));
  CHECK_FALSE(listens(service, std::array{listener({127, 0, 0, 9}, 81)}));
  std::array<std::uint8_t, 16> one{};
  one.back() = 1;
  CHECK_FALSE(listens(service, std::array{listener(one, 80, true)}));
  CHECK(listens(Service::of(HostPort::same(80)), std::array{listener(one, 80, true)}));
}
