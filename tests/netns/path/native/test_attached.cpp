// Whether a container is on a bridge of this namespace, by its process: another engine's bridge may have the
// same name and numbers.
#include "support/netns.hpp"
#include "target/attached.hpp"
#include "target/attachment.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

using namespace hostnet;
using namespace hostnet::exposer;
using test::NetNs;

namespace {

const Ipv4 kGateway = Ipv4::parse("198.18.5.1").value();
const Ipv4 kAddress = Ipv4::parse("198.18.5.2").value();

// A namespace with a bridge, and a second one attached to it by a veth pair, with a sleeping process.
struct World {
  NetNs host;
  NetNs inside;
  netlink::Rtnl rtnl = netlink::Rtnl::in_namespace(host.fd());
  int bridge = rtnl.add_bridge("docker0");
  pid_t pid = -1;

  World() {
    rtnl.add_address(bridge, kGateway, 24);
    rtnl.set_up(bridge);
    rtnl.add_veth("port0", "eth0", inside.fd());
    const auto port = rtnl.link("port0");
    REQUIRE(port);
    rtnl.set_master(port->ifindex, bridge);
    rtnl.set_up(port->ifindex);
    auto there = netlink::Rtnl::in_namespace(inside.fd());
    const auto eth0 = there.link("eth0");
    REQUIRE(eth0);
    there.add_address(eth0->ifindex, kAddress, 24);
    there.set_up(eth0->ifindex);
    pid = inside.run([] {
      const pid_t child = ::fork();
      if (child == 0) ::pause();
      return child;
    });
    REQUIRE(pid > 0);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { end(); }
  void end() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = -1;
  }
  [[nodiscard]] engine::Container container() const {
    engine::Container container;
    container.id = std::string(64, 'a');
    container.name = "app";
    container.running = true;
    container.pid = pid;
    return container;
  }
};

}  // namespace

TEST_CASE("a container on the bridge is here, and at its own address alone") {
  World world;
  CHECK(attached(world.rtnl, world.container(), world.bridge, kAddress) == Attached::here);
  CHECK(attached(world.rtnl, world.container(), world.bridge, kGateway) == Attached::elsewhere);
  const int other = world.rtnl.add_bridge("docker1");
  CHECK(attached(world.rtnl, world.container(), other, kAddress) == Attached::elsewhere);
  auto gone = world.container();
  world.end();
  CHECK(attached(world.rtnl, gone, world.bridge, kAddress) == Attached::unseen);
}

TEST_CASE("a container of a namesake with the same address and interface numbers is elsewhere") {
  World here;
  const World there;
  // Names and numbers are the same.
  const auto eth0 = netlink::Rtnl::in_namespace(here.inside.fd()).link("eth0");
  const auto namesake = netlink::Rtnl::in_namespace(there.inside.fd()).link("eth0");
  REQUIRE(eth0);
  REQUIRE(namesake);
  CHECK(eth0->ifindex == namesake->ifindex);
  CHECK(eth0->peer == namesake->peer);
  CHECK(here.bridge == there.bridge);

  CHECK(attached(here.rtnl, there.container(), here.bridge, kAddress) == Attached::elsewhere);
  CHECK_FALSE(find_attachment(here.rtnl, there.inside.fd(), kAddress));
  CHECK(find_attachment(here.rtnl, here.inside.fd(), kAddress));
}
