// The purpose of the native path: a container reaches a service on the host's 127.0.0.1, and nothing else
// changes.
#include "blog_recipe.hpp"
#include "path/native/holder.hpp"
#include "path/native/native.hpp"
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
