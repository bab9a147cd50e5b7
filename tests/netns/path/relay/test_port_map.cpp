// A lease's ports in a container that uses the same ports itself: both are reached, whoever comes first, and
// the kernel removes every rule with the last descriptor.
#include "core/deadline.hpp"
#include "core/ipv4.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/port_map.hpp"
#include "path/relay/relay.hpp"
#include "support/addresses.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/sockets.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace test;
using relay::Door;
using relay::kInside;

namespace {

constexpr std::uint16_t kService = 8480;
constexpr std::uint16_t kTaken = 80;
const std::string kLease = "0a1b2c3d";
const Endpoint kName{kInside, kTaken};
const std::string kBoth = "host, host";

Deadline in_time() { return Deadline::after(std::chrono::seconds{10}); }

relay::ContainerNet net_of(const NetNs& container) {
  relay::ContainerNet out;
  out.container = "api";
  out.netns.reset(::fcntl(container.fd(), F_DUPFD_CLOEXEC, 0));
  return out;
}

const std::vector<Door> kDoors{kTaken, Door(kTaken, SOCK_DGRAM)};

relay::OpenDoors open_in(const NetNs& container, const std::vector<Door>& doors = kDoors,
                         const std::string& lease = kLease) {
  return relay::bind_inside(net_of(container), kInside, doors, lease, in_time());
}

std::string rules_in(const NetNs& container) { return container.exec("nft list ruleset"); }

// A host with a service in both protocols, and a container with a lease for it.
struct MappedBed {
  MovedThread host;
  std::string up = exec("ip link set lo up");
  NetNs container;
  Service tcp{loopback(kService), "host"};
  Service udp{loopback(kService, SOCK_DGRAM), "host"};
  relay::OpenDoors opened = open_in(container);
  std::vector<relay::Forward> forwards;

  MappedBed() {
    const auto loop = std::make_shared<relay::Relay>();
    const std::vector<HostPort> ports{{.host = kService, .container = kTaken},
                                      {.host = kService, .container = kTaken, .protocol = Protocol::udp}};
    for (std::size_t i = 0; i < opened.sockets.size(); ++i)
      forwards.emplace_back(std::move(opened.sockets[i]), relay::Service::of(ports[i]),
                            std::make_shared<relay::Counters>(), loop);
  }
  [[nodiscard]] std::string reaches(Endpoint to = kName, int type = SOCK_STREAM) const {
    return dial(container, to, type, std::chrono::seconds{5});
  }
  [[nodiscard]] std::string both() const { return reaches() + ", " + reaches(kName, SOCK_DGRAM); }
};

}  // namespace

TEST_CASE("a container binds a lease's port at every address, and each is reached where it is") {
  const MappedBed bed;
  REQUIRE(bed.opened.map_error == 0);
  REQUIRE(bed.both() == kBoth);
  const Service own(bed.container.run([] { return listen_on({ip("0.0.0.0"), kTaken}); }), "own");
  const Service own_udp(bed.container.run([] {
    return listen_on({ip("0.0.0.0"), kTaken}, SOCK_DGRAM);
  }),
                        "own");
  CHECK(bed.both() == kBoth);
  for (const auto* const address : {"127.0.0.1", "127.0.0.78"})
    CHECK(bed.reaches({ip(address), kTaken}) == "own");
  CHECK(bed.reaches({ip("127.0.0.1"), kTaken}, SOCK_DGRAM) == "own");
  // Its peer is the address that it dialled, as with any service.
  const auto joined = join(bed.container, kName);
  CHECK(goes_on(joined));
  // Who flushes the container's rules does not take ours along.
  bed.container.exec("nft flush ruleset");
  CHECK(bed.both() == kBoth);
  CHECK(rules_in(bed.container).find("tc-hostnet, lease " + kLease) != std::string::npos);
}

TEST_CASE("a service at every IPv6 address takes the port, too") {
  const MappedBed bed;
  const Service own(bed.container.run([] { return listen_on(in6addr_any, kTaken, false); }), "own");
  CHECK(bed.both() == kBoth);
  CHECK(bed.reaches({ip("127.0.0.1"), kTaken}) == "own");
}

TEST_CASE("datagrams without a checksum, and large ones, pass both ways") {
  const MappedBed bed;
  for (const int without : {0, 1}) {
    const auto socket = bed.container.run([] { return connect_to(kName, SOCK_DGRAM); });
    REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_NO_CHECK, &without, sizeof without) == 0);
    const std::string text(30'000, 'a');
    REQUIRE(::send(socket.get(), text.data(), text.size(), 0) == 30'000);
    char answer[16] = {};
    CHECK(::recv(socket.get(), answer, sizeof answer, 0) == 4);
  }
}

TEST_CASE("a port whose service does not listen refuses, and the container's own service does not step in") {
  const MovedThread host;
  const NetNs container;
  auto opened = open_in(container);
  REQUIRE(opened.map);
  const auto loop = std::make_shared<relay::Relay>();
  std::vector<relay::Forward> forwards;
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    forwards.emplace_back(std::move(opened.sockets[forwards.size()]),
                          relay::Service::of({.host = kService, .container = kTaken, .protocol = protocol}),
                          std::make_shared<relay::Counters>(), loop);
  const Service own(container.run([] { return listen_on({ip("0.0.0.0"), kTaken}); }), "own");
  CHECK(dial(container, kName) == "(refused)");
  CHECK(dial(container, kName, SOCK_DGRAM, std::chrono::seconds{5}) == "(refused)");
}

TEST_CASE(
    "the container's own rules: NAT of a name server as Docker has it, and drops of what is not tracked") {
  const MappedBed bed;
  bed.container.exec(
      "iptables-legacy -t nat -A OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination "
      "127.0.0.11:4053");
  bed.container.nft(
      "table ip own {\n"
      "  chain in { type filter hook input priority 0; ct state invalid drop; }\n"
      "  chain out { type filter hook output priority 0; ct state invalid drop; }\n"
      "  chain nat { type nat hook output priority -100; tcp dport 4444 redirect to :4445; }\n"
      "}\n");
  CHECK(bed.both() == kBoth);
  const Service server(bed.container.run([] {
    return listen_on({ip("127.0.0.11"), 4053}, SOCK_DGRAM);
  }),
                       "name");
  CHECK(bed.reaches({ip("127.0.0.11"), 53}, SOCK_DGRAM) == "name");
}

TEST_CASE("one port has one lease in a namespace, and other ports have others") {
  const MappedBed bed;
  const auto error = error_of([&] { open_in(bed.container, {kTaken}, "ffffffff"); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()) == "port 80 is in use in container api");
  {
    const auto other = open_in(bed.container, {81, Door(81, SOCK_DGRAM)}, "ffffffff");
    CHECK(other.map);
    CHECK(bed.both() == kBoth);
  }
  CHECK(rules_in(bed.container).find("ffffffff") == std::string::npos);
  CHECK(bed.both() == kBoth);
}

// The places above the ephemeral ports are fewer than the ports.
TEST_CASE("two ports that would be at the same place are at two, in one lease and in two") {
  const NetNs container;
  const auto span = static_cast<std::uint16_t>(65536 - 61000);
  const auto other = static_cast<std::uint16_t>(kTaken + span);
  container.exec("sysctl -w net.ipv4.ip_local_port_range='32768 60999'");
  {
    const auto both = open_in(container, {kTaken, other});
    REQUIRE(both.map_error == 0);
    CHECK(relay::bound_port(both.sockets.at(0)) != relay::bound_port(both.sockets.at(1)));
  }
  const auto first = open_in(container, {kTaken});  // no service listens: its socket is closed
  const auto second = open_in(container, {other}, "0a1b2c3e");
  CHECK(relay::bound_port(first.sockets.at(0)) != relay::bound_port(second.sockets.at(0)));
}

TEST_CASE("the socket is above the ephemeral ports, and a port up there is bound itself") {
  const MovedThread host;
  const NetNs container;
  // The range is that of the container, not this process's.
  container.exec("echo 40000 49999 >/proc/sys/net/ipv4/ip_local_port_range");
  constexpr std::uint16_t high = 50'100;
  const auto taken = container.run([] { return listen_on({ip("0.0.0.0"), 50'080}); });
  const auto opened = open_in(container, {kTaken, high});
  CHECK(relay::bound_port(opened.sockets[0]) == 50'081);
  CHECK(relay::bound_port(opened.sockets[1]) == high);
}

TEST_CASE("without CAP_NET_ADMIN, and for a name of a table that is taken, the ports are bound themselves") {
  const MovedThread host;
  const NetNs container;
  std::packaged_task<relay::OpenDoors()> task([&] {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    REQUIRE(::syscall(SYS_capget, &head, data) == 0);
    for (auto* const set : {&data[0].effective, &data[0].permitted, &data[0].inheritable})
      *set &= ~(1U << CAP_NET_ADMIN);
    REQUIRE(::syscall(SYS_capset, &head, data) == 0);
    return open_in(container);
  });
  auto result = task.get_future();
  std::thread(std::move(task)).join();
  {
    const auto opened = result.get();
    CHECK_FALSE(opened.map);
    CHECK(opened.map_error == EPERM);
    REQUIRE(opened.sockets.size() == 2);
    CHECK(relay::bound_port(opened.sockets[0]) == kTaken);
  }
  container.exec("nft add table ip tc_hostnet_" + kLease);
  const auto opened = open_in(container);
  CHECK(opened.map_error == EEXIST);
  CHECK(relay::bound_port(opened.sockets[0]) == kTaken);
}

TEST_CASE("no rule outlives the last descriptor, and a release removes them while another process has one") {
  const MovedThread host;
  const NetNs container;
  const auto before = rules_in(container);
  auto opened = open_in(container);
  CHECK(rules_in(container) != before);
  Fd inherited(::fcntl(opened.map.get(), F_DUPFD_CLOEXEC, 0));
  opened.map.reset();
  CHECK(rules_in(container) != before);
  inherited.reset();
  CHECK(rules_in(container) == before);

  opened = {};
  opened = open_in(container);
  inherited.reset(::fcntl(opened.map.get(), F_DUPFD_CLOEXEC, 0));
  relay::PortMap::remove(opened.map.get(), kLease.c_str(), kDoors);
  CHECK(rules_in(container) == before);
}
