// The sources that a forward permits: the narrower kinds of leases, and their counters.
#include "path/native/holder.hpp"
#include "path/native/native.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"
#include "support/wire.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

Deadline shortly() { return Deadline::after(5s); }

std::shared_ptr<exposer::Holder> make_holder(const Testbed& bed) {
  exposer::Holder::Settings settings;
  settings.runtime_dir = bed.runtime_dir();
  return std::make_shared<exposer::Holder>(std::move(settings));
}

hostnet::Mac mac_in(const NetNs& netns) {
  return {netns.run([] { return mac_of("eth0"); })};
}

}  // namespace

TEST_CASE("a lease by Ethernet address is for its bearer, before and after it is narrowed to an address") {
  Testbed bed;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    CAPTURE(type);
    const auto protocol = type == SOCK_STREAM ? Protocol::tcp : Protocol::udp;
    const Service web(loopback(8088, type), "web");
    const auto reaches = [&](const NetNs& netns) {
      return dial(netns, {bed.gateway, 80}, type, 200ms) == "web";
    };
    {
      const auto holder = make_holder(bed);
      const auto request = Testbed::on_br0({{8088, 80, protocol}});
      auto prepared = exposer::prepare(std::span(&request, 1), {}, shortly());
      prepared.leases.front().mac = mac_in(bed.container);
      const auto exposures = holder->hold(prepared.leases, prepared.bridges, shortly());
      CHECK(reaches(bed.container));
      CHECK_FALSE(reaches(bed.neighbour));
      holder->restrict_to(exposures.front().id(), {.target = "container", .source = ip("198.18.0.2")},
                          shortly());
      CHECK(reaches(bed.container));
      CHECK_FALSE(reaches(bed.neighbour));
      // Neither the address nor the Ethernet address alone is enough.
      holder->restrict_to(exposures.front().id(), {.target = "container", .source = ip("198.18.0.3")},
                          shortly());
      CHECK_FALSE(reaches(bed.container));
      CHECK_FALSE(reaches(bed.neighbour));
    }
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("the narrowest forward wins, in whichever order they were made") {
  Testbed bed;
  const Service for_one(loopback(9001), "for both");
  const Service for_source(loopback(9002), "for the address");
  const Service for_mac(loopback(9003), "for the Ethernet address");
  const Service for_all(loopback(9004), "for everybody");
  const auto holder = make_holder(bed);
  const auto hold = [&](std::uint16_t port, bool by_source, bool by_mac) {
    const auto request = Testbed::on_br0({{port, 80}});
    auto prepared = exposer::prepare(std::span(&request, 1), {}, shortly());
    if (by_source) prepared.leases.front().sources = {ip("198.18.0.2")};
    if (by_mac) prepared.leases.front().mac = mac_in(bed.container);
    return std::move(holder->hold(prepared.leases, prepared.bridges, shortly()).front());
  };
  auto general = hold(9004, false, false);
  auto by_mac = hold(9003, false, true);
  auto by_source = hold(9002, true, false);
  auto by_both = hold(9001, true, true);
  const auto answer = [&] { return dial(bed.container, {bed.gateway, 80}); };
  CHECK(answer() == "for both");
  by_both.release();
  CHECK(answer() == "for the address");
  by_source.release();
  CHECK(answer() == "for the Ethernet address");
  by_mac.release();
  CHECK(answer() == "for everybody");
  general.release();
  CHECK(answer() == "(refused)");
  CHECK(bed.changes() == "");
}

TEST_CASE("connections are counted at the forward by which they came") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const Service other(loopback(9000), "other");
  const auto holder = make_holder(bed);
  const auto request = Testbed::on_br0({HostPort::same(8088), {9000, 90}});
  auto prepared = exposer::prepare(std::span(&request, 1), {}, shortly());
  const auto lease = prepared.leases.front();
  auto exposures = holder->hold(prepared.leases, prepared.bridges, shortly());
  for (int i = 0; i < 3; ++i) CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  CHECK(dial(bed.neighbour, {bed.gateway, 90}) == "other");
  // Another lease that comes and goes does not change the counters.
  bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(7000)}).release();
  const auto traffic = exposer::traffic_of(lease, "br0");
  REQUIRE(traffic.size() == 2);
  CHECK(traffic[0].packets == 3);
  CHECK(traffic[0].bytes >= 3 * 40);
  CHECK(traffic[1].packets == 1);
  exposures.clear();
  CHECK(bed.changes() == "");
}
