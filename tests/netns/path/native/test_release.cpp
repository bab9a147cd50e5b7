// Release: live connections end at once and cleanly; those of other leases continue.
#include "blog_recipe.hpp"
#include "netlink/conntrack.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"
#include "support/wire.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <stop_token>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

// Frames that must never leave the host.
std::ptrdiff_t loopback_frames(const Wire& wire, std::chrono::milliseconds window) {
  const auto packets = wire.heard(window);
  return std::ranges::count_if(packets,
                               [](const Packet& packet) { return packet.source.address.is_loopback(); });
}

std::size_t flows_to(std::uint16_t port) {
  const auto flows = netlink::conntrack_flows();
  return static_cast<std::size_t>(std::ranges::count_if(flows, [&](const auto& flow) {
    return flow.reply_source == Endpoint{ip("127.0.0.1"), port};
  }));
}

// Datagrams from one socket, so that all belong to one flow.
class Talker {
 public:
  Talker(const NetNs& from, Endpoint to) : socket_(from.run([&] { return connect_to(to, SOCK_DGRAM); })) {}

  void say(int times) const {
    for (int i = 0; i < times; ++i)  // an ICMP "port unreachable" for one makes the next one fail
      [[maybe_unused]] const auto sent = ::send(socket_.get(), "?", 1, 0);
  }

 private:
  Fd socket_;
};

}  // namespace

TEST_CASE("release resets the connections to the lease's address and leaves those to another alone") {
  Testbed bed;
  const Service plain(loopback(8088), "plain");
  const Service named(listen_on({ip("127.0.0.2"), 8088}), "named");
  const auto exposer = bed.exposer();
  auto first = exposer->expose(Target::bridge("br0"), {HostPort::parse("127.0.0.2:8088")});
  const auto second = exposer->expose(Target::bridge("br0"), {HostPort::parse("8088:9088")});
  const auto cut = join(bed.container, {bed.gateway, 8088});
  const auto kept = join(bed.container, {bed.gateway, 9088});
  REQUIRE(goes_on(cut));
  REQUIRE(goes_on(kept));
  first.release();
  CHECK(end_of(cut, 300ms) == "(reset)");
  CHECK(goes_on(kept));
  const auto flows = netlink::conntrack_flows();
  CHECK(std::ranges::none_of(flows, [](const auto& flow) {
    return flow.reply_source == Endpoint{ip("127.0.0.2"), 8088};
  }));
}

TEST_CASE("release resets the lease's connections and leaves those of another lease on the bridge alone") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const Service database(loopback(5432), "database");
  const auto exposer = bed.exposer();
  auto first = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  auto second = exposer->expose(Target::bridge("br0"), {HostPort::same(5432)});
  const auto cut = join(bed.container, {bed.gateway, 8088});
  const auto kept = join(bed.container, {bed.gateway, 5432});
  REQUIRE(goes_on(cut));
  REQUIRE(goes_on(kept));
  first.release();
  CHECK(end_of(cut, 300ms) == "(reset)");
  CHECK(goes_on(kept));
  CHECK(flows_to(8088) == 0);
  CHECK(flows_to(5432) == 1);
  second.release();
  CHECK(end_of(kept, 300ms) == "(reset)");
  CHECK(flows_to(5432) == 0);
  CHECK(bed.changes() == "");
}

TEST_CASE(
    "release ends the flow of datagrams, amid which it comes, while another lease keeps the bridge open") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const Service names(loopback(5353, SOCK_DGRAM), "names");
  const auto exposer = bed.exposer();
  auto other = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  auto exposure = exposer->expose(Target::bridge("br0"), {{5353, 53, Protocol::udp}});
  const Talker talker(bed.container, {bed.gateway, 53});
  talker.say(1);
  REQUIRE(eventually([&] { return names.visits() > 0; }, 5s));
  {
    const std::jthread talking([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        talker.say(1);
        std::this_thread::sleep_for(200us);
      }
    });
    const int before = names.visits();
    REQUIRE(eventually([&] { return names.visits() > before + 10; }, 5s));
    CHECK(flows_to(5353) == 1);
    exposure.release();
    CHECK(flows_to(5353) == 0);
    CHECK(route_localnet("br0"));
  }
  // The service may not have read earlier data yet.
  for (int seen = -1; seen != names.visits();) {
    seen = names.visits();
    std::this_thread::sleep_for(100ms);
  }
  const int before = names.visits();
  talker.say(50);
  CHECK_FALSE(eventually([&] { return names.visits() > before; }, 300ms));
  CHECK(flows_to(5353) == 0);
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  other.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a connection that two leases let in lives until the second is released") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  auto one = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  auto other = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  const auto connection = join(bed.container, {bed.gateway, 8088});
  one.release();
  CHECK(goes_on(connection));
  other.release();
  CHECK(end_of(connection, 300ms) == "(reset)");
  CHECK(bed.changes() == "");
}

TEST_CASE("no frame with a loopback source reaches the bridge, also not from connections cut in full flow") {
  Testbed bed;
  const Service web(loopback(8088), "web", 5ms);
  const auto container_wire = Wire(bed.container);
  const auto neighbour_wire = Wire(bed.neighbour);
  {
    auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    std::vector<Fd> connections;
    for (int i = 0; i < 20; ++i) connections.push_back(join(bed.container, {bed.gateway, 8088}));
    CHECK(loopback_frames(container_wire, 100ms) == 0);
    exposure.release();
    for (const auto& connection : connections) CHECK(end_of(connection, 300ms) == "(reset)");
  }
  CHECK(loopback_frames(container_wire, 400ms) == 0);
  CHECK(loopback_frames(neighbour_wire, 0ms) == 0);
  CHECK(bed.changes() == "");

  // By hand, with the conntrack entry deleted but the connection open, such frames do appear.
  {
    const BlogRecipe recipe;
    const auto connection = join(bed.container, {bed.gateway, 8088});
    exec("iptables-legacy -w -t nat -F PREROUTING");
    for (const auto& flow : netlink::conntrack_flows()) netlink::delete_flow(flow);
    CHECK(loopback_frames(container_wire, 400ms) > 0);
    exec(
        "iptables-legacy -w -t nat -A PREROUTING -i br0 -p tcp --dport 8088 -j DNAT --to-destination "
        "127.0.0.1:8088");
  }
}

TEST_CASE("the guard alone keeps frames with a loopback source off the bridge") {
  Testbed bed;
  const Service web(loopback(8088), "web", 5ms);
  const Service database(loopback(5432), "database");
  const auto wire = Wire(bed.container);
  const UnwatchedLeases standing(bed.runtime_dir(), Testbed::on_br0({HostPort::same(5432)}));
  // A foreign DNAT: a release does not cut its flows, and deleted ones must leak nothing.
  const std::string rule =
      "PREROUTING -d 198.18.0.1 -p tcp --dport 8088 -j DNAT --to-destination 127.0.0.1:8088";
  exec(
      "iptables-legacy -w -t filter -I INPUT -i br0 -p tcp --dport 8088 -j ACCEPT; iptables-legacy -w -t nat "
      "-A " +
      rule);
  const auto connection = join(bed.container, {bed.gateway, 8088});
  exec("iptables-legacy -w -t nat -D " + rule);
  for (const auto& flow : netlink::conntrack_flows()) netlink::delete_flow(flow);
  CHECK(loopback_frames(wire, 400ms) == 0);
  Testbed::take_out(Testbed::GuardPart::output);
  CHECK(loopback_frames(wire, 400ms) > 0);
}

TEST_CASE("a lease with a timeout ends by itself") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  std::atomic<int> told = 0;
  std::string why;
  const auto exposer = bed.exposer([&](const std::string&, ExposureState state, const std::string& reason) {
    if (state == ExposureState::released) why = reason;
    ++told;
  });
  auto request = Testbed::on_br0({HostPort::same(8088)});
  request.timeout = 1s;
  auto exposure = exposer->expose(request);
  const auto connection = join(bed.container, {bed.gateway, 8088});
  CHECK(eventually([&] { return told == 1; }, 3s));
  CHECK(why == "its time is up");
  CHECK(exposure.state() == ExposureState::released);
  CHECK(end_of(connection, 100ms) == "(reset)");
  CHECK(bed.changes() == "");
}
