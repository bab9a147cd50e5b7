// Who reaches a socket at the gateway of a bridge: the containers on that bridge. Each refusal is shown to be
// one: without what refuses, the same peer is served.
#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "netlink/link.hpp"
#include "path/relay/bound_socket.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/peers.hpp"
#include "path/relay/relay.hpp"
#include "support/addresses.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

using namespace hostnet;
using namespace test;
using relay::Peers;

namespace {

constexpr std::uint16_t kPort = 8480;

Deadline soon() { return Deadline::after(std::chrono::seconds{10}); }

exposer::GatewayTarget on_br0(const Testbed& bed) {
  return {.network = "web",
          .bridge = "br0",
          .ifindex = netlink::Rtnl().link("br0").value().ifindex,
          .gateway = bed.gateway};
}

Fd at_gateway(const Testbed& bed) {
  return relay::bind_at_gateway(on_br0(bed), bed.gateway, HostPort::same(kPort), soon());
}

// A service on 127.0.0.1 that says "web", and a relay to it.
struct Relayed {
  explicit Relayed(Fd socket, std::shared_ptr<Peers> peers)
      : forward(std::move(socket), relay::Service::of(HostPort::same(kPort)), counters,
                std::make_shared<relay::Relay>(), std::move(peers)) {}

  Service service{loopback(kPort), "web"};
  std::shared_ptr<relay::Counters> counters = std::make_shared<relay::Counters>();
  relay::Forward forward;
};

// The relay counts after it has reset the connection.
bool counts_strangers(const Relayed& relayed, std::uint64_t wanted) {
  for (const auto limit = soon(); relayed.counters->strangers != wanted;) {
    if (limit.expired()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

}  // namespace

TEST_CASE("a socket at the gateway serves the containers on its bridge, not this host and no other network") {
  const Testbed bed;
  const auto host = NetNs::current();
  const Endpoint where{bed.gateway, kPort};
  {
    const Relayed relayed(at_gateway(bed), std::make_shared<Peers>(Peers::From::network));
    CHECK(dial(bed.container, where) == "web");
    CHECK(dial(bed.neighbour, where) == "web");
    CHECK(dial(host, where) == "(reset)");
    CHECK(counts_strangers(relayed, 1));
    host.exec(
        "ip address add 198.18.0.77/24 dev br0");  // a second address, whose route names the first as source
    const auto from_second = open_socket();
    const auto second = socket_address(Endpoint{ip("198.18.0.77"), 0});
    check_call(::bind(from_second.get(), reinterpret_cast<const sockaddr*>(&second), sizeof second), "bind");
    const auto address = socket_address(where);
    check_call(::connect(from_second.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
               "connect");
    CHECK(end_of(from_second, std::chrono::seconds{5}) == "(reset)");
    CHECK(dial(bed.other, where) == "(refused)");
    CHECK(dial(bed.uplink, where) == "(refused)");
  }
  {  // without peers: this host, and each of its users, is served
    const Relayed open(at_gateway(bed), nullptr);
    CHECK(dial(host, where) == "web");
  }
  {  // without the device: every network is
    int made = -1;
    REQUIRE(relay::make_bound_socket(where.port, where.address.network(), made).error == 0);
    const Relayed wide(Fd(made), std::make_shared<Peers>(Peers::From::network));
    CHECK(dial(bed.other, where) == "web");
    CHECK(dial(bed.uplink, where) == "web");
  }
}

TEST_CASE(
    "a socket for host-gateway's address, on the bridge of another network, serves that network alone") {
  const Testbed bed;
  const Endpoint where{bed.host_gateway, kPort};
  const Relayed relayed(relay::bind_at_gateway(on_br0(bed), bed.host_gateway, HostPort::same(kPort), soon()),
                        std::make_shared<Peers>(Peers::From::network));
  CHECK(dial(bed.container, where) == "web");
  CHECK(dial(bed.other, where) == "(refused)");
  CHECK(dial(NetNs::current(), where) == "(refused)");  // it does not come in by br0
}

TEST_CASE("what a container asks before it is known waits, and a neighbour is not served in its place") {
  const Testbed bed;
  const Endpoint where{bed.gateway, kPort};
  const auto peers = std::make_shared<Peers>(Peers::From::container_to_come);
  Relayed relayed(at_gateway(bed), peers);
  CHECK(dial(bed.container, where) == "(silence)");  // accepted by the kernel
  const auto early = bed.container.run([&] { return connect_to(where); });
  const auto neighbour = bed.neighbour.run([&] { return connect_to(where); });
  CHECK(relayed.service.visits() == 0);
  peers->restrict_to({ip("198.18.0.2")});
  relayed.forward.resume();
  char said[4] = {};
  CHECK(::recv(early.get(), said, 3, MSG_WAITALL) == 3);
  CHECK(std::string(said) == "web");
  CHECK(end_of(neighbour, std::chrono::seconds{5}) == "(reset)");
  CHECK(dial(bed.container, where) == "web");
  CHECK(dial(bed.neighbour, where) == "(reset)");
  CHECK(dial(NetNs::current(), where) == "(reset)");
  CHECK(counts_strangers(relayed, 3));
}

TEST_CASE("a socket outlives its bridge, and serves nobody on the one that takes its place") {
  const Testbed bed;
  const auto host = NetNs::current();
  const Endpoint where{bed.gateway, kPort};
  auto peers = std::make_shared<Peers>(Peers::From::network);
  std::optional<Relayed> relayed(std::in_place, at_gateway(bed), peers);
  CHECK(dial(bed.container, where) == "web");
  host.exec(
      "ports=$(ip -o link show master br0 | sed 's/^[0-9]*: \\([^@:]*\\).*/\\1/'); ip link del br0; ip link "
      "add br0 type bridge; "
      "ip address add 198.18.0.1/24 dev br0; ip link set br0 up; for p in $ports; do ip link set $p master "
      "br0; done");
  CHECK(dial(bed.container, where) == "(refused)");
  relayed.reset();
  relayed.emplace(at_gateway(bed), peers);
  CHECK(dial(bed.container, where) == "web");
  CHECK(dial(host, where) == "(reset)");
}

TEST_CASE("what has the port already is named") {
  const Testbed bed;
  const auto holder = listen_on({ip("0.0.0.0"), kPort});
  try {
    static_cast<void>(at_gateway(bed));
    FAIL("it was bound");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::conflict);
    CHECK(std::string_view(error.what()) ==
          "8480/tcp: a service of uid 0 listens on 0.0.0.0:8480, which containers reach as 198.18.0.1:8480");
  }
  auto gone = on_br0(bed);
  gone.bridge = "br-gone";
  CHECK_THROWS_AS(static_cast<void>(relay::bind_at_gateway(gone, bed.gateway, HostPort::same(kPort), soon())),
                  Error);
}
