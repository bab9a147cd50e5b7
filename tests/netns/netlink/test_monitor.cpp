// The kernel's notifications of real changes.
#include "netlink/monitor.hpp"
#include "support/expect_error.hpp"
#include "support/netns.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::netlink;
using test::NetNs;
using Kind = LinkEvent::Kind;

namespace {

bool readable(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN};
  return ::poll(&waiting, 1, 0) == 1;
}

bool has(const std::vector<LinkEvent>& events, Kind kind, const std::string& name) {
  return std::any_of(events.begin(), events.end(),
                     [&](const LinkEvent& event) { return event.kind == kind && event.name == name; });
}

}  // namespace

TEST_CASE("an interface's life: added, renamed, set up, deleted") {
  const NetNs host;
  auto monitor = host.run([] { return LinkMonitor(); });
  CHECK_FALSE(readable(monitor.fd()));
  CHECK(monitor.read().empty());

  host.exec("ip link add br0 type bridge");
  CHECK(readable(monitor.fd()));
  auto events = monitor.read();
  REQUIRE(has(events, Kind::changed, "br0"));
  const int ifindex = events.front().ifindex;
  CHECK(ifindex == Rtnl::in_namespace(host.fd()).link("br0").value().ifindex);
  CHECK_FALSE(readable(monitor.fd()));

  host.exec("ip link set br0 name br1");
  events = monitor.read();
  REQUIRE(has(events, Kind::changed, "br1"));
  CHECK(events.back().ifindex == ifindex);

  host.exec("ip link set br1 up");
  CHECK(has(monitor.read(), Kind::changed, "br1"));

  host.exec("ip link delete br1");
  events = monitor.read();
  REQUIRE(has(events, Kind::removed, "br1"));
  CHECK(events.back().ifindex == ifindex);
  CHECK(monitor.read().empty());
}

TEST_CASE("a port that leaves its bridge is reported as changed, not deleted") {
  const NetNs host;
  host.exec("ip link add br0 type bridge; ip link add port0 type veth peer name far0; ip link set port0 up");
  host.exec("ip link set port0 master br0");
  auto monitor = host.run([] { return LinkMonitor(); });
  host.exec("ip link set port0 nomaster");
  const auto events = monitor.read();
  CHECK(has(events, Kind::changed, "port0"));
  CHECK_FALSE(has(events, Kind::removed, "port0"));
  host.exec("ip link delete port0");
  CHECK(has(monitor.read(), Kind::removed, "port0"));
}

TEST_CASE("an interface that moves to another namespace is gone here") {
  const NetNs host;
  const NetNs other;
  host.exec("ip link add port0 type veth peer name far0");
  auto monitor = host.run([] { return LinkMonitor(); });
  host.exec("ip link set far0 netns " + other.path());
  CHECK(has(monitor.read(), Kind::removed, "far0"));
}

TEST_CASE("events dropped by the kernel are reported as lost, and later events arrive again") {
  const NetNs host;
  auto monitor = host.run([] { return LinkMonitor(); });
  const int little = 2048;
  REQUIRE(::setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little) == 0);
  for (int i = 0; i < 20; ++i) host.exec(fmt::format("ip link add a{0} type veth peer name b{0}", i));
  const auto events = monitor.read();
  CHECK(has(events, Kind::lost, ""));
  CHECK(events.size() < 20);
  host.exec("ip link delete b0");
  CHECK(has(monitor.read(), Kind::removed, "b0"));
}

TEST_CASE("a burst of a thousand interfaces is reported completely") {
  const NetNs host;
  auto monitor = host.run([] { return LinkMonitor(); });
  std::string batch;
  for (int i = 0; i < 500; ++i) batch += fmt::format("link add a{0} type veth peer name b{0}\n", i);
  host.exec("ip -batch -", batch);
  const auto events = monitor.read();
  CHECK_FALSE(has(events, Kind::lost, ""));
  CHECK(has(events, Kind::changed, "b0"));
  CHECK(has(events, Kind::changed, "b499"));
}

TEST_CASE("changes to nftables, by nft and by iptables-nft, are noticed") {
  const NetNs host;
  auto monitor = host.run([] { return NftMonitor(); });
  CHECK_FALSE(monitor.read());
  CHECK_FALSE(readable(monitor.fd()));
  for (const char* command : {"nft add table ip t", "iptables-nft -A INPUT -j ACCEPT",
                              "iptables-nft -F INPUT", "nft delete table ip t", "nft flush ruleset"}) {
    host.exec(command);
    CHECK(readable(monitor.fd()));
    CHECK(monitor.read());
    CHECK_FALSE(monitor.read());
  }
  host.exec("nft list ruleset");
  CHECK_FALSE(monitor.read());
}

TEST_CASE("another namespace's rules are not noticed") {
  const NetNs host;
  const NetNs other;
  auto monitor = host.run([] { return NftMonitor(); });
  other.exec("nft add table ip t");
  CHECK_FALSE(monitor.read());
}

TEST_CASE("without privilege, interfaces can be watched but nftables cannot") {
  const NetNs host;
  host.run([] {
    test::run_unprivileged([] {
      CHECK_NOTHROW(LinkMonitor());
      const auto error = test::error_of([] { NftMonitor(); });
      CHECK(error.code() == Errc::not_authorised);
      CHECK(error.what() == std::string("watch nf_tables: Operation not permitted"));
    });
  });
}
