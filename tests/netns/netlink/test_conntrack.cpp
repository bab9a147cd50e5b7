// Conntrack entries of a real DNAT from a container's namespace to the host's loopback.
#include "netlink/conntrack.hpp"
#include "netlink/link.hpp"
#include "support/expect_error.hpp"
#include "support/netns.hpp"
#include "support/sockets.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

using namespace hostnet;
using namespace hostnet::netlink;
using test::ip;
using test::NetNs;

namespace {

// A host and a container; the host forwards 198.18.5.1:4001 to its 127.0.0.1:4000.
struct Bed {
  NetNs host, container;

  Bed() {
    test::connect({host, "port0", "198.18.5.1/24"}, {container, "eth0", "198.18.5.2/24"});
    auto rtnl = Rtnl::in_namespace(host.fd());
    rtnl.set_route_localnet(rtnl.link("port0").value().ifindex, true);
    host.nft(R"(table ip t { chain pre { type nat hook prerouting priority dstnat;
      ip daddr 198.18.5.1 tcp dport 4001 dnat to 127.0.0.1:4000
      ip daddr 198.18.5.1 udp dport 4001 dnat to 127.0.0.1:4000; }; })");
  }
};

}  // namespace

TEST_CASE("a DNATed TCP connection is listed with both directions, and deleted once") {
  const Bed bed;
  const auto listener = bed.host.run([] { return test::listen_on({ip("127.0.0.1"), 4000}); });
  CHECK(bed.host.run(conntrack_flows).empty());
  const auto client = bed.container.run([] { return test::connect_to({ip("198.18.5.1"), 4001}); });
  const auto server = test::accept_from(listener);
  const auto client_end = test::local_end(client);

  const auto flows = bed.host.run(conntrack_flows);
  REQUIRE(flows.size() == 1);
  const Flow expected{.protocol = Protocol::tcp,
                      .source = client_end,
                      .destination = {ip("198.18.5.1"), 4001},
                      .reply_source = {ip("127.0.0.1"), 4000},
                      .reply_destination = client_end};
  CHECK(flows[0] == expected);
  const auto shown = bed.host.exec("conntrack -L 2>/dev/null");
  CHECK(shown.find(fmt::format("sport={} dport=4001", client_end.port)) != std::string::npos);

  auto other = expected;
  ++other.source.port;
  CHECK_FALSE(bed.host.run([&] { return delete_flow(other); }));
  other = expected;
  other.protocol = Protocol::udp;
  CHECK_FALSE(bed.host.run([&] { return delete_flow(other); }));
  CHECK(bed.host.run([&] { return delete_flow(expected); }));
  CHECK(bed.host.run(conntrack_flows).empty());
  CHECK_FALSE(bed.host.run([&] { return delete_flow(expected); }));
}

TEST_CASE("a UDP flow is listed and deleted") {
  const Bed bed;
  const auto server = bed.host.run([] { return test::listen_on({ip("127.0.0.1"), 4000}, SOCK_DGRAM); });
  const auto client = bed.container.run([] {
    return test::connect_to({ip("198.18.5.1"), 4001}, SOCK_DGRAM);
  });
  REQUIRE(::send(client.get(), "x", 1, 0) == 1);
  char byte = 0;
  REQUIRE(::recv(server.get(), &byte, 1, 0) == 1);
  const auto flows = bed.host.run(conntrack_flows);
  REQUIRE(flows.size() == 1);
  CHECK(flows[0].protocol == Protocol::udp);
  CHECK(flows[0].destination == Endpoint{ip("198.18.5.1"), 4001});
  CHECK(flows[0].reply_source == Endpoint{ip("127.0.0.1"), 4000});
  CHECK(bed.host.run([&] { return delete_flow(flows[0]); }));
  CHECK(bed.host.run(conntrack_flows).empty());
}

TEST_CASE("connections without DNAT, other protocols, IPv6 and other namespaces are left out") {
  const Bed bed;
  bed.host.nft("table inet u { chain out { type filter hook output priority 0; ct state new accept; }; }");
  bed.host.run([] {
    // An echo request by a datagram socket: this sysctl permits it to gid 0.
    test::exec("sysctl -q -w net.ipv4.ping_group_range='0 0'");
    const Fd icmp(test::check_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP), "socket"));
    const auto to = test::socket_address({ip("127.0.0.1"), 0});
    const char echo[8] = {8};
    test::check_call(static_cast<int>(::sendto(icmp.get(), echo, sizeof echo, 0,
                                               reinterpret_cast<const sockaddr*>(&to), sizeof to)),
                     "sendto");
    const auto plain_listener = test::listen_on({ip("127.0.0.1"), 4003});
    const auto plain = test::connect_to({ip("127.0.0.1"), 4003});
    const auto listener = test::listen_on(in6addr_loopback, 4002, false);
    const Fd client(test::check_call(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const sockaddr_in6 address{
        .sin6_family = AF_INET6, .sin6_port = htons(4002), .sin6_addr = in6addr_loopback};
    test::check_call(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                     "connect");
    REQUIRE(test::exec("conntrack -L -p tcp 2>/dev/null").find("dport=4003") != std::string::npos);
    REQUIRE(test::exec("conntrack -L -p icmp 2>/dev/null").find("icmp") != std::string::npos);
    REQUIRE(test::exec("conntrack -L -f ipv6 2>/dev/null").find("dport=4002") != std::string::npos);
    CHECK(conntrack_flows().empty());
  });
  CHECK(bed.container.run(conntrack_flows).empty());
}

TEST_CASE("one dump lists ten thousand entries, without the thousand that are not DNATed") {
  const NetNs host;
  host.nft(
      "table ip t { chain out { type nat hook output priority 0; ip daddr 127.0.0.9 dnat to 127.0.0.1; }; }");
  host.run([] {
    constexpr std::uint16_t first = 20000;
    constexpr std::uint16_t count = 10000;
    const auto socket = test::open_socket(SOCK_DGRAM);
    const auto send_to = [&](const char* address, unsigned port) {
      const auto to = test::socket_address({ip(address), static_cast<std::uint16_t>(port)});
      REQUIRE(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
    };
    for (unsigned i = 0; i < count; ++i) send_to("127.0.0.9", first + i);
    for (unsigned i = 0; i < 1000; ++i) send_to("127.0.0.1", first - 1 - i);
    const auto start = std::chrono::steady_clock::now();
    const auto flows = conntrack_flows();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    MESSAGE(count, " entries listed in ", took.count(), " ms");
    CHECK(flows.size() == count);
    std::vector<std::uint16_t> ports;
    for (const auto& flow : flows) ports.push_back(flow.destination.port);
    std::sort(ports.begin(), ports.end());
    CHECK(std::unique(ports.begin(), ports.end()) == ports.end());
    CHECK(ports.front() == first);
    CHECK(ports.back() == first + count - 1);
  });
}

TEST_CASE("without privilege neither listing nor deleting is permitted") {
  const NetNs host;
  host.run([] {
    test::run_unprivileged([] {
      const auto error = test::error_of([] { conntrack_flows(); });
      CHECK(error.code() == Errc::not_authorised);
      CHECK(error.what() == std::string("list conntrack entries: Operation not permitted"));
      const Flow flow{.source = {ip("198.18.5.2"), 40000}, .destination = {ip("198.18.5.1"), 4001}};
      const auto refused = test::error_of([&] { delete_flow(flow); });
      CHECK(refused.code() == Errc::not_authorised);
      CHECK(
          refused.what() ==
          std::string(
              "delete the tcp conntrack entry 198.18.5.2:40000 – 198.18.5.1:4001: Operation not permitted"));
    });
  });
}
