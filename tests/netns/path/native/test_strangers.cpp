// Sources that a lease must not serve: a neighbour of the container, containers on another bridge, hosts on
// the uplink.
#include "attack.hpp"
#include "blog_recipe.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace test;

TEST_CASE("a lease for one container gives its neighbours nothing") {
  const Testbed bed;
  const Secrets secrets;
  {
    const auto exposure = bed.exposer()->expose(bed.for_container({HostPort::same(Secrets::exposed)}));
    CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");
    CHECK(dial(bed.neighbour, {bed.gateway, Secrets::exposed}) == "(refused)");
    CHECK(dial(bed.hostile, {bed.gateway, Secrets::exposed}) == "(refused)");
    CHECK_FALSE(frames_reach(secrets, bed.neighbour, "br0", ip("198.18.0.3"), ip("127.0.0.1")));
    CHECK_FALSE(
        frames_reach(secrets, bed.neighbour, "br0", ip("198.18.0.3"), ip("127.0.0.1"), Secrets::exposed));
    // With the container's address it gets no answer, because the answer goes to the container.
    const Wire wire(bed.hostile);
    wire.send({{ip("198.18.0.2"), 40'000}, {bed.gateway, Secrets::exposed}}, mac_of("br0"));
    CHECK(wire.heard(std::chrono::milliseconds{150}).empty());
    CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");
  }
  CHECK(bed.changes() == "");
  // A lease for the whole bridge includes the neighbour.
  const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort::same(Secrets::exposed)}));
  CHECK(dial(bed.neighbour, {bed.gateway, Secrets::exposed}) == "web");
}

TEST_CASE("another bridge and the uplink get nothing, by any address of the host") {
  const Testbed bed;
  const Secrets secrets;
  const struct {
    const NetNs& netns;
    const char* interface;
    Ipv4 own_gateway;
    Ipv4 address;
  } strangers[] = {{bed.other, "br1", bed.br1_gateway, ip("198.18.1.2")},
                   {bed.uplink, "uplink0", bed.uplink_address, ip("198.18.9.2")}};
  const auto reached = [&](const auto& stranger) {
    std::string out;
    for (const auto address : {bed.gateway, stranger.own_gateway, bed.host_gateway})
      if (dial(stranger.netns, {address, Secrets::exposed}) == "web") out += address.to_string() + " ";
    if (frames_reach(secrets, stranger.netns, stranger.interface, stranger.address, ip("127.0.0.1")))
      out += "frames ";
    if (frames_reach(secrets, stranger.netns, stranger.interface, stranger.address, ip("127.0.0.1"),
                     Secrets::exposed))
      out += "frames to the exposed port ";
    if (forged_caller_is_heard(secrets, stranger.netns, stranger.interface, ip("127.9.9.9"),
                               stranger.own_gateway))
      out += "forged caller ";
    return out;
  };
  {
    const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort::same(Secrets::exposed)}));
    for (const auto& stranger : strangers) {
      CAPTURE(stranger.interface);
      CHECK(reached(stranger) == "");
    }
    CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");
  }
  CHECK(bed.changes() == "");
  // With the recipe for "all", common when the bridge's name is unknown, each of these gets in.
  const BlogRecipe recipe("all");
  for (const auto& stranger : strangers) {
    CAPTURE(stranger.interface);
    CHECK(reached(stranger) ==
          fmt::format("198.18.0.1 {} 198.18.2.1 frames frames to the exposed port forged caller ",
                      stranger.own_gateway.to_string()));
  }
}

TEST_CASE("a stranger who routes 127/8 to the host gets nothing") {
  const Testbed bed;
  const Secrets secrets;
  route_loopback_out(bed.other, bed.br1_gateway);
  route_loopback_out(bed.uplink, bed.uplink_address);
  const auto reaches = [&](const NetNs& netns) {
    return dial(netns, {ip("127.0.0.1"), Secrets::port}) == "secret" ||
           dial(netns, {ip("127.0.0.1"), Secrets::exposed}) == "web";
  };
  {
    const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort::same(Secrets::exposed)}));
    CHECK_FALSE(reaches(bed.other));
    CHECK_FALSE(reaches(bed.uplink));
  }
  CHECK(bed.changes() == "");
  const BlogRecipe recipe("all");
  CHECK(reaches(bed.other));
  CHECK(reaches(bed.uplink));
}
