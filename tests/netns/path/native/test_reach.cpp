// The purpose of the native path: a container reaches a service on the host's 127.0.0.1, and nothing else
// changes.
#include "blog_recipe.hpp"
#include "path/native/holder.hpp"
#include "path/native/native.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace test;

TEST_CASE("a service on 127.0.0.1:8088 is fetched from the container at the gateway, while the lease lives") {
  Testbed bed;
  const Service web(loopback(8088), "HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\nhello from the host\n");
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(bed.container.exec("curl -sS -m 2 http://198.18.0.1:8088/") == "hello from the host\n");
  CHECK(exposure.gateway() == "198.18.0.1");
  CHECK(exposure.interface() == "br0");
  CHECK(exposure.state() == ExposureState::active);
  CHECK(route_localnet("br0"));
  CHECK_FALSE(route_localnet("all"));
  CHECK_FALSE(route_localnet("br1"));
  exposure.release();
  CHECK(exposure.state() == ExposureState::released);
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
  CHECK(bed.changes() == "");
}

// As dockerd without its proxy publishes a container's port on 127.0.0.1.
TEST_CASE("what the host asks of a container from 127.0.0.1 is answered, with a lease as without") {
  Testbed bed;
  exec("sysctl -qw net.ipv4.conf.br0.route_localnet=1");
  exec("iptables-legacy -w -t nat -A OUTPUT -d 127.0.0.1 -p tcp --dport 18080 -j DNAT --to 198.18.0.2:80");
  exec("iptables-legacy -w -t nat -A POSTROUTING -o br0 -s 127.0.0.0/8 -j MASQUERADE");
  bed.remember();
  const Service inside(bed.container.run([] { return listen_on({ip("198.18.0.2"), 80}); }), "inside");
  const Service web(loopback(8088), "web");
  const auto host = NetNs::current();
  CHECK(dial(host, {ip("127.0.0.1"), 18080}) == "inside");
  {
    const auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    CHECK(dial(host, {ip("127.0.0.1"), 18080}) == "inside");
  }
  CHECK(dial(host, {ip("127.0.0.1"), 18080}) == "inside");
  CHECK(bed.changes() == "");
}

TEST_CASE("a port can have another number in the container, and several go in one lease") {
  Testbed bed;
  const Service database(loopback(5432), "database");
  const Service web(loopback(8088), "web");
  const Service names(loopback(5353, SOCK_DGRAM), "names");
  {
    const auto exposure = bed.exposer()->expose(Target::bridge("br0"),
                                                {{5432, 15432}, {8088, 8088}, {5353, 53, Protocol::udp}});
    CHECK(dial(bed.container, {bed.gateway, 15432}) == "database");
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    CHECK(dial(bed.container, {bed.gateway, 53}, SOCK_DGRAM) == "names");
    CHECK(dial(bed.container, {bed.gateway, 5432}) == "(refused)");
    CHECK(dial(bed.container, {bed.gateway, 53}) == "(refused)");
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("another address of the loopback: that address and port are reached, and no other") {
  Testbed bed;
  const Service plain(loopback(8088), "127.0.0.1");
  const Service named(listen_on({ip("127.0.0.2"), 8088}), "127.0.0.2");
  const Service beside(listen_on({ip("127.0.0.2"), 8089}), "127.0.0.2, another port");
  const Service third(listen_on({ip("127.0.0.3"), 8088}), "127.0.0.3");
  const Service names(listen_on({ip("127.0.0.53"), 53}, SOCK_DGRAM), "names");
  const Service any(listen_on({ip("0.0.0.0"), 9000}), "any");
  const auto exposer = bed.exposer();
  auto exposure = exposer->expose(
      Target::bridge("br0"), {HostPort::parse("127.0.0.2:8088"), HostPort::parse("127.0.0.53:53:5353/udp"),
                              HostPort::parse("127.0.0.9:9000:9001")});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "127.0.0.2");
  CHECK(dial(bed.container, {bed.gateway, 5353}, SOCK_DGRAM) == "names");
  CHECK(dial(bed.container, {bed.gateway, 9001}) == "any");
  for (const auto other : {std::uint16_t{8089}, std::uint16_t{53}, std::uint16_t{5353}})
    CHECK(dial(bed.container, {bed.gateway, other}) == "(refused)");
  // The guard covers 127.0.0.0/8, so a packet to an address itself is dropped even with a route to it.
  bed.container.exec("ip address flush dev lo && ip route add 127.0.0.0/8 via 198.18.0.1");
  for (const char* address : {"127.0.0.2", "127.0.0.3"})
    CHECK(dial(bed.container, {ip(address), 8088}) == "(silence)");

  // Another address under the same container port is a conflict.
  const auto error = error_of([&] { exposer->expose(Target::bridge("br0"), {HostPort::same(8088)}); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()).find("leads to 127.0.0.2:8088 already, by lease " + exposure.id()) !=
        std::string::npos);
  auto same = exposer->expose(Target::bridge("br0"), {HostPort::parse("127.0.0.2:8088")});
  exposure.release();
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "127.0.0.2");
  same.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("[::1] and a socket bound to device lo are not for the native path, and it says so") {
  Testbed bed;
  const auto six =
      error_of([&] { bed.exposer()->expose(Target::bridge("br0"), {HostPort::parse("[::1]:80")}); });
  CHECK(six.code() == Errc::no_path);
  CHECK(std::string(six.what()) == "[::1]:80/tcp: the native path leads to IPv4 only");
  // As systemd-resolved's: a packet that came in by a bridge does not reach it.
  const auto socket = listen_on({ip("127.0.0.53"), 53});
  REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0);
  auto request = Testbed::on_br0({HostPort::parse("127.0.0.53:53")});
  request.require_listener = true;
  const auto bound = error_of([&] { bed.exposer()->expose(request); });
  CHECK(bound.code() == Errc::not_listening);
  CHECK(std::string(bound.what()) == "nothing listens on 127.0.0.53:53, only on 127.0.0.53%lo:53");
  request.require_listener = false;
  const auto exposure = bed.exposer()->expose(request);
  CHECK(dial(bed.container, {bed.gateway, 53}) == "(refused)");
}

TEST_CASE("the default bridge's gateway, which host-gateway resolves to, leads there as well") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const auto request = Testbed::on_br0({HostPort::same(8088)});
  auto prepared = exposer::prepare(std::span(&request, 1), {}, Deadline::after(std::chrono::seconds{5}));
  prepared.leases.front().gateways.push_back(bed.host_gateway);
  {
    const auto holder =
        std::make_shared<exposer::Holder>(exposer::Holder::Settings{.runtime_dir = bed.runtime_dir()});
    const auto exposures =
        holder->hold(prepared.leases, prepared.bridges, Deadline::after(std::chrono::seconds{5}));
    CHECK(dial(bed.container, {bed.host_gateway, 8088}) == "web");
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    // A container on another bridge gains nothing from that address.
    CHECK(dial(bed.other, {bed.host_gateway, 8088}) == "(refused)");
  }
  CHECK(dial(bed.container, {bed.host_gateway, 8088}) == "(refused)");
  CHECK(bed.changes() == "");
}

TEST_CASE("what containers say to other addresses on the exposed port goes where they say") {
  for (const char* const bridge_netfilter : {"0", "1"}) {
    CAPTURE(bridge_netfilter);
    Testbed bed;
    exec(std::string("sysctl -qw net.bridge.bridge-nf-call-iptables=") + bridge_netfilter);
    const auto on = [](const NetNs& netns, const char* address) {
      return netns.run([&] { return listen_on({ip(address), 8088}); });
    };
    const Service web(loopback(8088), "web");
    const Service neighbours(on(bed.neighbour, "198.18.0.3"), "the neighbour's");
    const Service elsewhere(on(bed.uplink, "198.18.9.2"), "elsewhere");
    const Service hosts_own(listen_on({bed.uplink_address, 8088}), "the host's own");
    {
      const auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
      CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
      CHECK(dial(bed.container, {ip("198.18.0.3"), 8088}) == "the neighbour's");
      CHECK(dial(bed.container, {ip("198.18.9.2"), 8088}) == "elsewhere");
      CHECK(dial(bed.container, {bed.uplink_address, 8088}) == "the host's own");
    }
    CHECK(bed.changes() == "");
    // The recipe without an address hijacks the traffic, all of it if bridged frames pass the tables.
    const BlogRecipe recipe;
    CHECK(dial(bed.container, {ip("198.18.9.2"), 8088}) == "web");
    CHECK(dial(bed.container, {bed.uplink_address, 8088}) == "web");
    if (*bridge_netfilter == '1') CHECK(dial(bed.container, {ip("198.18.0.3"), 8088}) == "web");
  }
}

TEST_CASE("route_localnet that is on for another lease is not what was before") {
  Testbed bed;
  auto other = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(5432)});
  const auto request = Testbed::on_br0({HostPort::same(8088)});
  const auto prepared =
      exposer::prepare(std::span(&request, 1), {}, Deadline::after(std::chrono::seconds{5}));
  // It ends after the check and before the change.
  other.release();
  {
    const auto holder =
        std::make_shared<exposer::Holder>(exposer::Holder::Settings{.runtime_dir = bed.runtime_dir()});
    const auto exposures =
        holder->hold(prepared.leases, prepared.bridges, Deadline::after(std::chrono::seconds{5}));
    CHECK(route_localnet("br0"));
  }
  CHECK_FALSE(route_localnet("br0"));
  CHECK(bed.changes() == "");
}

TEST_CASE("route_localnet that was on before stays on") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  exec("sysctl -qw net.ipv4.conf.br0.route_localnet=1");
  bed.remember();
  {
    const auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  }
  CHECK(route_localnet("br0"));
  CHECK(bed.changes() == "");
}
