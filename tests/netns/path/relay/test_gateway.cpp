// Who reaches a socket at the gateway of a bridge: the containers on that bridge. Each refusal is shown to be
// one: without what refuses, the same peer is served.
#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "netlink/link.hpp"
#include "path/relay/bound_socket.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/peers.hpp"
#include "path/relay/relay.hpp"
#include "support/addresses.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

const HostPort kTcp = HostPort::same(kPort);
const HostPort kUdp{kPort, kPort, Protocol::udp};

Fd at_gateway(const Testbed& bed, const HostPort& port = kTcp) {
  return relay::bind_at_gateway(on_br0(bed), bed.gateway, port, soon());
}

// A service on 127.0.0.1 that says "web", and a relay to it.
struct Relayed {
  explicit Relayed(Fd socket, std::shared_ptr<Peers> peers, const HostPort& port = kTcp)
      : service(std::in_place, loopback(kPort, relay::door_of(port).type), "web"),
        forward(std::move(socket), relay::Service::of(port), counters, std::make_shared<relay::Relay>(),
                std::move(peers)) {}

  std::optional<Service> service;
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
  CHECK(relayed.service->visits() == 0);
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

TEST_CASE("datagrams at the gateway: its bridge's containers are served, and no one else") {
  const Testbed bed;
  const auto host = NetNs::current();
  const Endpoint where{bed.gateway, kPort};
  {
    auto socket = at_gateway(bed, kUdp);
    const Fd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    Relayed relayed(std::move(socket), std::make_shared<Peers>(Peers::From::network), kUdp);
    CHECK(dial(bed.container, where, SOCK_DGRAM) == "web");  // connected with that address: it answers
    CHECK(dial(bed.neighbour, where, SOCK_DGRAM) == "web");
    CHECK(dial(host, where, SOCK_DGRAM) == "(silence)");
    CHECK(counts_strangers(relayed, 1));
    CHECK(dial(bed.other, where, SOCK_DGRAM) == "(refused)");
    CHECK(dial(bed.uplink, where, SOCK_DGRAM) == "(refused)");
    CHECK(relayed.service->visits() == 2);
    // As between disconnecting the socket and binding it to the device again.
    CHECK(::setsockopt(copy.get(), SOL_SOCKET, SO_BINDTODEVICE, "", 0) == 0);
    CHECK(dial(bed.other, where, SOCK_DGRAM) == "(silence)");
    CHECK(dial(bed.uplink, where, SOCK_DGRAM) == "(silence)");
    CHECK(counts_strangers(relayed, 3));
    CHECK(relayed.service->visits() == 2);
    // While the service is away, and from its return on.
    const auto becomes = [&](std::string_view outcome) {
      return eventually([&] { return dial(bed.container, where, SOCK_DGRAM) == outcome; },
                        std::chrono::seconds{10});
    };
    relayed.service.reset();
    CHECK(becomes("(refused)"));
    relayed.service.emplace(loopback(kPort, SOCK_DGRAM), "web");
    CHECK(becomes("web"));
    CHECK(dial(bed.other, where, SOCK_DGRAM) == "(refused)");  // it is bound to the device again
    CHECK(dial(bed.uplink, where, SOCK_DGRAM) == "(refused)");
    CHECK(dial(host, where, SOCK_DGRAM) == "(silence)");
  }
  {  // without peers: this host, and each of its users, is served
    const Relayed open(at_gateway(bed, kUdp), nullptr, kUdp);
    CHECK(dial(host, where, SOCK_DGRAM) == "web");
  }
  {  // without the device: every network is
    int made = -1;
    REQUIRE(relay::make_bound_socket(relay::door_of(kUdp), where.address.network(), made).error == 0);
    ::fcntl(made, F_SETFL, O_NONBLOCK);
    const Relayed wide(Fd(made), std::make_shared<Peers>(Peers::From::network), kUdp);
    CHECK(dial(bed.other, where, SOCK_DGRAM) == "web");
    CHECK(dial(bed.uplink, where, SOCK_DGRAM) == "web");
  }
  {  // at host-gateway's address, on the bridge of another network
    const Endpoint there{bed.host_gateway, kPort};
    const Relayed relayed(relay::bind_at_gateway(on_br0(bed), bed.host_gateway, kUdp, soon()),
                          std::make_shared<Peers>(Peers::From::network), kUdp);
    CHECK(dial(bed.container, there, SOCK_DGRAM) == "web");
    CHECK(dial(bed.other, there, SOCK_DGRAM) == "(refused)");
    CHECK(dial(host, there, SOCK_DGRAM) == "(refused)");
  }
}

TEST_CASE("datagrams wait until the container is known, and a neighbour's are dropped") {
  const Testbed bed;
  const Endpoint where{bed.gateway, kPort};
  const auto peers = std::make_shared<Peers>(Peers::From::container_to_come);
  Relayed relayed(at_gateway(bed, kUdp), peers, kUdp);
  const auto ask_early = [&] {
    auto socket = connect_to(where, SOCK_DGRAM);
    check_call(static_cast<int>(::send(socket.get(), "early", 5, 0)), "send");
    return socket;
  };
  const auto early = bed.container.run(ask_early);
  const auto neighbour = bed.neighbour.run(ask_early);
  CHECK(dial(bed.neighbour, where, SOCK_DGRAM) == "(silence)");
  CHECK(relayed.service->visits() == 0);
  peers->restrict_to({ip("198.18.0.2")});
  relayed.forward.resume();
  char said[4] = {};
  CHECK(::recv(early.get(), said, 3, 0) == 3);
  CHECK(std::string(said) == "web");
  CHECK(counts_strangers(relayed, 2));
  CHECK(dial(bed.container, where, SOCK_DGRAM) == "web");
  CHECK(dial(bed.neighbour, where, SOCK_DGRAM) == "(silence)");
  CHECK(dial(NetNs::current(), where, SOCK_DGRAM) == "(silence)");
  CHECK(counts_strangers(relayed, 4));
  CHECK(::recv(neighbour.get(), said, 3, MSG_DONTWAIT) < 0);
  CHECK(relayed.service->visits() == 2);
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
  const auto datagrams = listen_on({ip("198.18.0.1"), kPort}, SOCK_DGRAM);
  try {
    static_cast<void>(at_gateway(bed, kUdp));
    FAIL("it was bound");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::conflict);
    CHECK(
        std::string_view(error.what()) ==
        "8480/udp: a service of uid 0 listens on 198.18.0.1:8480, which containers reach as 198.18.0.1:8480");
  }
  auto gone = on_br0(bed);
  gone.bridge = "br-gone";
  CHECK_THROWS_AS(static_cast<void>(relay::bind_at_gateway(gone, bed.gateway, HostPort::same(kPort), soon())),
                  Error);
}
