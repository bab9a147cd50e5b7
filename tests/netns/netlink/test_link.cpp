// Interfaces, addresses and routes, compared with the ip command and /proc.
#include "core/file.hpp"
#include "core/json.hpp"
#include "netlink/link.hpp"
#include "support/expect_error.hpp"
#include "support/netns.hpp"
#include "support/sockets.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

using namespace hostnet;
using namespace hostnet::netlink;
using test::ip;
using test::NetNs;

namespace {

json::Value ip_json(const NetNs& netns, const std::string& arguments) {
  return json::parse(netns.exec("ip -j -d " + arguments));
}

std::string route_localnet(const std::string& interface) {
  return read_file(fmt::format("/proc/sys/net/ipv4/conf/{}/route_localnet", interface));
}

}  // namespace

TEST_CASE("a bridge, a veth pair into another namespace, and all their attributes") {
  const NetNs host;
  const NetNs container;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  const int bridge = rtnl.add_bridge("br0");
  rtnl.add_address(bridge, ip("198.18.5.1"), 24);
  rtnl.set_up(bridge);
  rtnl.add_veth("port0", "eth0", container.fd());
  const auto port = rtnl.link("port0");
  REQUIRE(port);
  rtnl.set_master(port->ifindex, bridge);
  rtnl.set_up(port->ifindex);

  Rtnl inside = Rtnl::in_namespace(container.fd());
  const auto eth0 = inside.link("eth0");
  REQUIRE(eth0);
  CHECK(eth0->kind == "veth");
  CHECK(eth0->peer == port->ifindex);
  CHECK(eth0->peer_elsewhere);
  CHECK_FALSE(eth0->up);
  inside.add_address(eth0->ifindex, ip("198.18.5.2"), 24);
  inside.set_up(eth0->ifindex);
  inside.add_default_route(ip("198.18.5.1"), eth0->ifindex);

  const auto shown_bridge = ip_json(host, "link show br0");
  CHECK(shown_bridge.view()[0].find("ifindex").integer() == bridge);
  CHECK(shown_bridge.view()[0].find("linkinfo").find("info_kind").text() == "bridge");
  const auto shown_port = ip_json(host, "link show port0");
  CHECK(shown_port.view()[0].find("master").text() == "br0");
  const auto shown_address = ip_json(host, "address show br0");
  CHECK(shown_address.view()[0].find("addr_info")[0].find("local").text() == "198.18.5.1");
  const auto shown_route = ip_json(container, "route show default");
  CHECK(shown_route.view()[0].find("gateway").text() == "198.18.5.1");
  CHECK(shown_route.view()[0].find("dev").text() == "eth0");

  const auto again = rtnl.link(port->ifindex);
  REQUIRE(again);
  CHECK(again->name == "port0");
  CHECK(again->kind == "veth");
  CHECK(again->master == bridge);
  CHECK(again->peer == eth0->ifindex);
  CHECK(again->peer_elsewhere);
  CHECK(again->up);
  const auto by_name = rtnl.link("br0");
  REQUIRE(by_name);
  CHECK(by_name->ifindex == bridge);
  CHECK(by_name->kind == "bridge");
  CHECK(by_name->master == 0);
  CHECK(by_name->peer == 0);
  CHECK_FALSE(by_name->peer_elsewhere);
  CHECK(by_name->up);

  // The container's address, seen from outside.
  REQUIRE(again->peer_netns);
  const auto there = rtnl.addresses_elsewhere(*again->peer_netns, again->peer);
  REQUIRE(there.size() == 1);
  CHECK(there[0].address == ip("198.18.5.2"));
  CHECK(rtnl.addresses_elsewhere(*again->peer_netns, again->peer + 10).empty());
  CHECK(rtnl.addresses_elsewhere(4711, again->peer).empty());
  CHECK_FALSE(by_name->peer_netns);

  const auto links = rtnl.links();
  CHECK(links.size() == 3);
  CHECK(links.size() == ip_json(host, "link show").size());
  CHECK(std::count_if(links.begin(), links.end(), [&](const Link& link) { return link.master == bridge; }) ==
        1);

  rtnl.remove(port->ifindex);
  CHECK_FALSE(rtnl.link("port0"));
  CHECK_FALSE(rtnl.link(port->ifindex));
  CHECK_FALSE(inside.link("eth0"));
  rtnl.remove(port->ifindex);  // already gone
}

TEST_CASE("the number of a process's namespace is the one at the other end of its veth pair, for any user") {
  const NetNs host;
  const NetNs container;
  const NetNs stranger;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  rtnl.add_veth("port0", "eth0", container.fd());
  const auto port = rtnl.link("port0");
  REQUIRE(port);
  REQUIRE(port->peer_netns);
  CHECK(rtnl.netns_number(container.fd()) == port->peer_netns);
  CHECK_FALSE(rtnl.netns_number(stranger.fd()));
  CHECK_FALSE(rtnl.netns_number(host.fd()));

  const auto process = [](const NetNs& where) {
    return where.run([] {
      const pid_t pid = ::fork();
      if (pid == 0) ::pause();
      return pid;
    });
  };
  const pid_t inside = process(container);
  const pid_t outside = process(stranger);
  REQUIRE(inside > 0);
  REQUIRE(outside > 0);
  CHECK(rtnl.netns_of_process(inside) == ProcessNetns{true, port->peer_netns});
  CHECK(rtnl.netns_of_process(outside) == ProcessNetns{true, std::nullopt});
  const auto seen_by_nobody = test::run_unprivileged([&] { return rtnl.netns_of_process(inside); });
  CHECK(seen_by_nobody == ProcessNetns{true, port->peer_netns});
  for (const pid_t pid : {inside, outside}) {
    ::kill(pid, SIGKILL);
    siginfo_t ended{};
    ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT);
    CHECK_FALSE(rtnl.netns_of_process(pid).is_there);  // a zombie
    ::waitpid(pid, nullptr, 0);
    CHECK_FALSE(rtnl.netns_of_process(pid).is_there);
  }
  CHECK_FALSE(rtnl.netns_of_process(0).is_there);
}

TEST_CASE("a veth pair within one namespace has its peer here") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  rtnl.add_veth("one", "two", host.fd());
  const auto one = rtnl.link("one");
  const auto two = rtnl.link("two");
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->peer == two->ifindex);
  CHECK(two->peer == one->ifindex);
  CHECK_FALSE(one->peer_elsewhere);
}

TEST_CASE("names that cannot be an interface's") {
  Rtnl rtnl;
  CHECK_FALSE(rtnl.link(""));
  CHECK_FALSE(rtnl.link("nosuch0"));
  CHECK_FALSE(rtnl.link("a-name-of-16-byt"));
  CHECK_FALSE(rtnl.link("../br0"));
  CHECK_FALSE(rtnl.link(0));
  CHECK_FALSE(rtnl.link(-1));
  CHECK_FALSE(rtnl.link(1 << 30));
  CHECK(test::error_of([&] { rtnl.add_bridge("a-name-of-16-byt"); }).code() == Errc::invalid_argument);
  CHECK(test::error_of([&] { rtnl.add_bridge(""); }).code() == Errc::invalid_argument);
}

TEST_CASE("route_localnet is set and cleared on that interface only, with /proc/sys read-only") {
  const NetNs host;
  host.run([] {
    // A mount namespace of this thread only, so that the rest of the test may still write.
    test::check_call(::unshare(CLONE_FS | CLONE_NEWNS), "unshare");
    test::check_call(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make / private");
    Rtnl rtnl;
    const int bridge = rtnl.add_bridge("br0");
    const int other = rtnl.add_bridge("br1");
    test::check_call(::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr), "bind /proc/sys");
    test::check_call(::mount(nullptr, "/proc/sys", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr),
                     "remount");
    REQUIRE(test::try_exec("echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet").status != 0);

    CHECK(route_localnet("br0") == "0\n");
    CHECK_FALSE(rtnl.link(bridge)->route_localnet);
    rtnl.set_route_localnet(bridge, true);
    CHECK(route_localnet("br0") == "1\n");
    CHECK(route_localnet("br1") == "0\n");
    CHECK(route_localnet("all") == "0\n");
    CHECK(route_localnet("default") == "0\n");
    CHECK(rtnl.link(bridge)->route_localnet);
    CHECK_FALSE(rtnl.link(other)->route_localnet);
    rtnl.set_route_localnet(bridge, false);
    CHECK(route_localnet("br0") == "0\n");
    CHECK_FALSE(rtnl.link("br0")->route_localnet);
  });
}

TEST_CASE("a change to an interface that is gone gives that error") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  const int bridge = rtnl.add_bridge("br0");
  rtnl.remove(bridge);
  for (const bool on : {true, false}) {
    const auto error = test::error_of([&] { rtnl.set_route_localnet(bridge, on); });
    CHECK(error.code() == Errc::not_found);
    CHECK(std::string(error.what()).ends_with("it is gone"));
  }
}

TEST_CASE("addresses, of one interface and of all") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  const int one = rtnl.add_bridge("br0");
  const int two = rtnl.add_bridge("br1");
  rtnl.add_address(one, ip("198.18.5.1"), 24);
  rtnl.add_address(one, ip("198.18.6.1"), 16);
  rtnl.add_address(two, ip("198.18.7.1"), 32);
  host.exec("ip address add 198.18.8.1 peer 198.18.8.2/32 dev br1");
  const auto of_one = rtnl.addresses(one);
  REQUIRE(of_one.size() == 2);
  CHECK(of_one[0].address == ip("198.18.5.1"));
  CHECK(of_one[0].prefix == 24);
  CHECK(of_one[0].ifindex == one);
  CHECK(of_one[1].prefix == 16);
  const auto of_two = rtnl.addresses(two);
  REQUIRE(of_two.size() == 2);
  CHECK(of_two[1].address == ip("198.18.8.1"));  // its own, not the peer's
  CHECK(rtnl.addresses().size() == 5);           // and 127.0.0.1
  rtnl.remove(two);
  CHECK(rtnl.addresses(two).empty());
}

TEST_CASE("routes of the main and local tables") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  const int bridge = rtnl.add_bridge("br0");
  rtnl.add_address(bridge, ip("198.18.5.1"), 24);
  rtnl.set_up(bridge);
  rtnl.add_default_route(ip("198.18.5.254"), bridge);
  host.exec("ip route add 198.18.9.0/24 via 198.18.5.9 table 100");
  host.exec("ip route add blackhole 198.18.10.0/24");
  host.exec("ip route add 198.18.11.0/24 nexthop via 198.18.5.7 nexthop via 198.18.5.8");
  const auto routes = rtnl.routes();
  const auto find = [&](const char* destination, unsigned prefix) {
    std::vector<Route> found;
    std::copy_if(routes.begin(), routes.end(), std::back_inserter(found), [&](const Route& route) {
      return route.destination == ip(destination) && route.prefix == prefix;
    });
    return found;
  };
  const auto standard = find("0.0.0.0", 0);
  REQUIRE(standard.size() == 1);
  CHECK(standard[0].ifindex == bridge);
  CHECK_FALSE(standard[0].local);
  REQUIRE(find("198.18.5.0", 24).size() == 1);
  CHECK_FALSE(find("198.18.5.0", 24)[0].local);
  REQUIRE(find("198.18.5.1", 32).size() == 1);
  CHECK(find("198.18.5.1", 32)[0].local);
  REQUIRE(find("127.0.0.0", 8).size() == 1);
  CHECK(find("127.0.0.0", 8)[0].local);
  CHECK(find("198.18.5.255", 32).empty());  // broadcast
  CHECK(find("198.18.9.0", 24).empty());    // another table
  REQUIRE(find("198.18.10.0", 24).size() == 1);
  CHECK(find("198.18.10.0", 24)[0].ifindex == 0);
  CHECK(find("198.18.11.0", 24).size() == 2);
}

TEST_CASE("failures name the operation and the interface") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  const int bridge = rtnl.add_bridge("br0");
  const auto twice = test::error_of([&] { rtnl.add_bridge("br0"); });
  CHECK(twice.what() == std::string("add bridge br0: File exists"));
  CHECK(twice.sys_errno() == EEXIST);
  rtnl.add_address(bridge, ip("198.18.5.1"), 24);
  const auto address = test::error_of([&] { rtnl.add_address(bridge, ip("198.18.5.1"), 24); });
  CHECK(address.what() ==
        fmt::format("add address 198.18.5.1/24 to br0 (interface {}): File exists", bridge));
  const auto gone = test::error_of([&] { rtnl.set_route_localnet(9999, true); });
  CHECK(gone.what() == std::string("set route_localnet of interface 9999: it is gone"));
  CHECK(gone.sys_errno() == ENODEV);
  CHECK(test::error_of([&] { rtnl.set_up(9999); }).sys_errno() == ENODEV);
  CHECK(test::error_of([&] { rtnl.set_master(9999, bridge); }).sys_errno() == ENODEV);
  CHECK(test::error_of([&] { rtnl.add_veth("x", "y", -1); }).code() == Errc::failure);
  CHECK(test::error_of([&] { Rtnl::in_namespace(-1); }).sys_errno() == EBADF);
}

TEST_CASE("without privilege everything can be read and nothing changed") {
  const NetNs host;
  const int bridge = host.run([] { return Rtnl().add_bridge("br0"); });
  host.run([&] {
    test::run_unprivileged([&] {
      Rtnl rtnl;
      CHECK(rtnl.link("br0"));
      CHECK(rtnl.links().size() == 2);
      const auto error = test::error_of([&] { rtnl.set_route_localnet(bridge, true); });
      CHECK(error.code() == Errc::not_authorised);
      CHECK(error.what() ==
            fmt::format("set route_localnet of br0 (interface {}): Operation not permitted", bridge));
      CHECK(test::error_of([&] { rtnl.add_bridge("br1"); }).code() == Errc::not_authorised);
      CHECK(test::error_of([&] { rtnl.remove(bridge); }).code() == Errc::not_authorised);
      CHECK(test::error_of([&] { rtnl.set_up(bridge); }).code() == Errc::not_authorised);
      CHECK(test::error_of([&] { rtnl.add_address(bridge, ip("198.18.5.1"), 24); }).code() ==
            Errc::not_authorised);
      CHECK(test::error_of([&] { Rtnl::in_namespace(host.fd()); }).code() == Errc::not_authorised);
    });
  });
}

TEST_CASE("thousands of interfaces are listed completely, and one request finds one of them") {
  const NetNs host;
  constexpr int pairs = 1000;
  std::string batch;
  for (int i = 0; i < pairs; ++i) batch += fmt::format("link add a{0} type veth peer name b{0}\n", i);
  host.exec("ip -batch -", batch);
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  CHECK(rtnl.links().size() == 2 * pairs + 1);
  // The fastest of many: on a busy machine any single request may wait.
  std::chrono::duration<double, std::micro> fastest = std::chrono::seconds(1);
  for (int i = 0; i < 100; ++i) {
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(rtnl.link(fmt::format("a{}", i)));
    fastest = std::min<decltype(fastest)>(fastest, std::chrono::steady_clock::now() - start);
  }
  MESSAGE("one lookup among ", 2 * pairs, ": ", fastest.count(), " us");
  CHECK(fastest.count() < 1000);  // a full dump takes many times as long
}

TEST_CASE("links are listed completely while others appear and disappear") {
  const NetNs host;
  Rtnl rtnl = Rtnl::in_namespace(host.fd());
  constexpr int pairs = 150;
  for (int i = 0; i < pairs; ++i) rtnl.add_veth(fmt::format("a{}", i), fmt::format("b{}", i), host.fd());
  const auto churn = host.start([&](const std::stop_token& stop) {
    Rtnl changing;
    while (!stop.stop_requested()) {
      changing.add_veth("fleeting0", "fleeting1", host.fd());
      changing.remove(changing.link("fleeting0").value().ifindex);
    }
  });
  for (int round = 0; round < 50; ++round) {
    const auto links = rtnl.links();
    CHECK(std::count_if(links.begin(), links.end(), [](const Link& link) { return link.peer != 0; }) >=
          2 * pairs);
    CHECK(std::count_if(links.begin(), links.end(), [](const Link& link) {
            return !link.name.starts_with("fleeting");
          }) == 2 * pairs + 1);
  }
}

TEST_CASE("each namespace has its own cookie") {
  const NetNs one;
  const NetNs two;
  const auto here = namespace_cookie();
  CHECK(here == namespace_cookie());
  CHECK(here != one.run(namespace_cookie));
  CHECK(one.run(namespace_cookie) != two.run(namespace_cookie));
  CHECK(one.run(namespace_cookie) == one.run(namespace_cookie));
}
