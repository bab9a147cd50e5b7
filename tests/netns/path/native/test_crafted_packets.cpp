// Containers with CAP_NET_RAW, with CAP_NET_ADMIN and without either, against a bridge with a lease.
#include "attack.hpp"
#include "blog_recipe.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace test;

namespace {

// Against a lease the attack fails and the exposed port keeps working; against the recipe the same attack
// succeeds.
void check_repelled(const Testbed& bed, const Attack& attack) {
  // The host must know the attacker's hardware address; otherwise it could not answer at all.
  dial(bed.hostile, {bed.gateway, 1});
  {
    const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort::same(Secrets::exposed)}));
    CHECK_FALSE(attack());
    CHECK(dial(bed.neighbour, {bed.gateway, Secrets::exposed}) == "web");
  }
  CHECK(bed.changes() == "");
  const BlogRecipe recipe;
  CHECK(attack());
}

}  // namespace

TEST_CASE("frames to 127.0.0.1") {
  const Testbed bed;
  const Secrets secrets;
  check_repelled(
      bed, [&] { return frames_reach(secrets, bed.hostile, "br0", ip("198.18.0.4"), ip("127.0.0.1")); });
}

TEST_CASE("frames to any other address of 127/8") {
  const Testbed bed;
  const Secrets secrets;
  const Service everywhere(listen_on({ip("0.0.0.0"), 7777}), "everywhere");
  check_repelled(bed, [&] {
    return frames_reach(secrets, bed.hostile, "br0", ip("198.18.0.4"), ip("127.1.2.3"), 7777);
  });
}

TEST_CASE("frames to the exposed port's own loopback address: the gateway is the only way in") {
  const Testbed bed;
  const Secrets secrets;
  check_repelled(bed, [&] {
    return frames_reach(secrets, bed.hostile, "br0", ip("198.18.0.4"), ip("127.0.0.1"), Secrets::exposed);
  });
}

TEST_CASE("frames to 127.0.0.1 in a neighbour's and in a stranger's name") {
  const Testbed bed;
  const Secrets secrets;
  for (const char* const source : {"198.18.0.2", "203.0.113.5"}) {
    CAPTURE(source);
    check_repelled(bed,
                   [&] { return frames_reach(secrets, bed.hostile, "br0", ip(source), ip("127.0.0.1")); });
  }
}

TEST_CASE("raw IP packets to 127.0.0.1 out of eth0") {
  const Testbed bed;
  const Secrets secrets;
  check_repelled(bed, [&] { return raw_packets_reach(secrets, bed.hostile, ip("198.18.0.4")); });
}

TEST_CASE("127/8 routed out of eth0 by a container with CAP_NET_ADMIN") {
  const Testbed bed;
  const Secrets secrets;
  route_loopback_out(bed.hostile, bed.gateway);
  check_repelled(bed, [&] { return dial(bed.hostile, {ip("127.0.0.1"), Secrets::port}) == "secret"; });
}

TEST_CASE("127/8 routed out of eth0: the exposed port's loopback address is no way in either") {
  const Testbed bed;
  const Secrets secrets;
  route_loopback_out(bed.hostile, bed.gateway);
  check_repelled(bed, [&] { return dial(bed.hostile, {ip("127.0.0.1"), Secrets::exposed}) == "web"; });
}

TEST_CASE("UDP to 127.0.0.1 by uid 65534 with SO_BINDTODEVICE and no capability") {
  const Testbed bed;
  const Secrets secrets;
  check_repelled(bed, [&] { return nobody_reaches(secrets, bed.hostile); });
}

TEST_CASE("a caller in 127/8 forged from outside, to a service that listens everywhere") {
  const Testbed bed;
  const Secrets secrets;
  for (const char* const source : {"127.9.9.9", "127.0.0.2"}) {
    CAPTURE(source);
    check_repelled(
        bed, [&] { return forged_caller_is_heard(secrets, bed.hostile, "br0", ip(source), bed.gateway); });
  }
}

TEST_CASE("a caller in 127/8 forged from outside, to the exposed port itself") {
  const Testbed bed;
  const Secrets secrets;
  // UDP through its own forward: one datagram does harm without an answer.
  const auto attack = [&] {
    const int before = secrets.udp.visits();
    const Wire wire(bed.hostile);
    wire.send({{ip("127.9.9.9"), 4444}, {bed.gateway, 53}, Protocol::udp}, mac_of("br0"));
    return eventually([&] { return secrets.udp.visits() > before; }, std::chrono::milliseconds{150});
  };
  const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({{Secrets::port, 53, Protocol::udp}}));
  CHECK(dial(bed.hostile, {bed.gateway, 53}, SOCK_DGRAM) == "secret");
  CHECK_FALSE(attack());
  // Only the second drop before routing prevents it: without that drop the datagram gets in.
  Testbed::take_out(Testbed::GuardPart::raw_source);
  CHECK(attack());
}

TEST_CASE("the guard has two layers, and each alone keeps frames to 127.0.0.1 out") {
  const Testbed bed;
  const Secrets secrets;
  const auto attack = [&] {
    return frames_reach(secrets, bed.hostile, "br0", ip("198.18.0.4"), ip("127.0.0.1"));
  };
  const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({HostPort::same(Secrets::exposed)}));
  CHECK_FALSE(attack());
  Testbed::take_out(Testbed::GuardPart::raw);
  CHECK_FALSE(attack());
  Testbed::take_out(Testbed::GuardPart::input);
  CHECK(attack());
}

TEST_CASE("with bridged frames passing the tables, the guard holds as well") {
  const Testbed bed;
  const Secrets secrets;
  exec("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
  check_repelled(
      bed, [&] { return frames_reach(secrets, bed.hostile, "br0", ip("198.18.0.4"), ip("127.0.0.1")); });
}
