// Who takes a container's address over, on the same bridge: the port of the bridge gives it away.
#include "attack.hpp"
#include "exposer/resolve.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/ranges.h>

using namespace hostnet;
using namespace test;

namespace {

constexpr const char* kList = "nft list table bridge tc_hostnet";

// A lease for the container's address alone, as the helper makes them for those who know no more.
class ByAddress {
 public:
  explicit ByAddress(const Testbed& bed, std::vector<HostPort> ports)
      : ledger_(bed.runtime_dir()), ready_(make(bed, std::move(ports))) {
    const auto journal = ledger_.lock(soon());
    auto held = ledger_.load(journal);
    for (auto& lease : ready_.prepared.leases) lease.port.clear();
    ledger_.add(journal, held, ready_.prepared.leases, ready_.prepared.bridges, soon());
  }
  ByAddress(const ByAddress&) = delete;
  ByAddress& operator=(const ByAddress&) = delete;
  ~ByAddress() {
    const auto journal = ledger_.lock(soon());
    auto held = ledger_.load(journal);
    ledger_.remove(journal, held, {ready_.prepared.leases.front().id}, soon());
  }

 private:
  Ready make(const Testbed& bed, std::vector<HostPort> ports) {
    const auto request = bed.for_container(std::move(ports));
    return make_ready(ledger_, std::span(&request, 1));
  }

  exposer::Ledger ledger_;
  Ready ready_;
};

std::vector<HostPort> both_protocols() {
  return {HostPort::same(Secrets::exposed), HostPort::parse(fmt::format("{}/udp", Secrets::port))};
}

// In so many tags, or in none.
void send_datagram(const NetNs& from, Ipv4 source, Ipv4 gateway, int tags) {
  const Wire wire(from);
  const Packet packet{{source, 40'001}, {gateway, Secrets::port}, Protocol::udp};
  if (tags > 0)
    wire.send_tagged(packet, tags, mac_of("br0"));
  else
    wire.send(packet, mac_of("br0"));
}

bool datagram_reaches(const Secrets& secrets, const NetNs& from, Ipv4 source, Ipv4 gateway, int tags) {
  const int before = secrets.udp.visits();
  send_datagram(from, source, gateway, tags);
  return eventually([&] { return secrets.udp.visits() > before; }, std::chrono::seconds{3});
}

bool datagram_is_dropped(const Secrets& secrets, const NetNs& from, Ipv4 source, Ipv4 gateway, int tags) {
  const int before = secrets.udp.visits();
  send_datagram(from, source, gateway, tags);
  return !eventually([&] { return secrets.udp.visits() > before; }, std::chrono::milliseconds{200});
}

// All that tells the container from its neighbour on the wire.
void take_over(const NetNs& thief, const NetNs& container) {
  const auto mac = container.run([] { return mac_of("eth0"); });
  thief.exec(
      fmt::format("set -e; ip link set eth0 down; ip link set eth0 address {}\n"
                  "ip address flush dev eth0; ip address add 198.18.0.2/24 dev eth0; ip link set eth0 up",
                  fmt::format("{:02x}", fmt::join(mac, ":"))));
}

}  // namespace

TEST_CASE("a neighbour in the container's name gets nothing, and the container is served") {
  const Testbed bed;
  const Secrets secrets;
  const auto source = ip("198.18.0.2");
  {
    // What there is to be kept from: an address and nothing else tells the container from others.
    const ByAddress lease(bed, both_protocols());
    for (const int tags : {0, 1, 2, 3}) {
      CAPTURE(tags);
      CHECK(datagram_reaches(secrets, bed.hostile, source, bed.gateway, tags));
    }
  }
  {
    const auto exposure = bed.exposer()->expose(bed.for_container(both_protocols()));
    for (const int tags : {0, 1, 2, 3}) {
      CAPTURE(tags);
      CHECK(datagram_is_dropped(secrets, bed.hostile, source, bed.gateway, tags));
    }
    for (const int tags : {0, 1}) {
      CAPTURE(tags);
      CHECK(datagram_reaches(secrets, bed.container, source, bed.gateway, tags));
    }
    CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");

    take_over(bed.hostile, bed.container);
    CHECK(dial(bed.hostile, {bed.gateway, Secrets::exposed}) != "web");
    // Where answers go is for the bridge to learn, which hears the one Ethernet address by two ports. It is
    // for the thief to take service away from its neighbour; not to be served.
    CHECK(eventually(
        [&] {
          return dial(bed.container, {bed.gateway, Secrets::exposed}) == "web";
        },
        std::chrono::seconds{10}));
    CHECK(dial(bed.hostile, {bed.gateway, Secrets::exposed}) != "web");
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("with an address alone, the neighbour who takes it over is served: that is what pins are for") {
  const Testbed bed;
  const Secrets secrets;
  const ByAddress lease(bed, {HostPort::same(Secrets::exposed)});
  take_over(bed.hostile, bed.container);
  // Once the bridge has heard the one Ethernet address by this port last.
  CHECK(eventually(
      [&] {
        return dial(bed.hostile, {bed.gateway, Secrets::exposed}) == "web";
      },
      std::chrono::seconds{10}));
}

TEST_CASE("pins concern the host's addresses only, and go with their lease") {
  const Testbed bed;
  const Service at_gateway(listen_on({bed.gateway, 7777}), "host");
  const Service there(bed.neighbour.run([] { return listen_on({ip("198.18.0.3"), 7000}); }), "neighbour");
  const auto exposer = bed.exposer();
  auto first = exposer->expose(bed.for_container({HostPort::same(8088)}));
  auto second = exposer->expose(bed.for_container({HostPort::same(8089)}));
  CHECK(exec(kList).find("198.18.0.2 . \"") != std::string::npos);
  CHECK(dial(bed.container, {ip("198.18.0.3"), 7000}) == "neighbour");
  CHECK(dial(bed.container, {bed.gateway, 7777}) == "host");
  CHECK(dial(bed.neighbour, {bed.gateway, 7777}) == "host");
  first.release();
  CHECK(try_exec(kList).status == 0);
  second.release();
  CHECK(try_exec(kList).status != 0);
  CHECK(bed.changes() == "");
}

TEST_CASE("who has an address is seen from outside, unless two have it") {
  const Testbed bed;
  netlink::Rtnl rtnl;
  const auto br0 = rtnl.link("br0")->ifindex;
  const auto port_of = [&](const char* address) {
    return exposer::bridge_port_holding(rtnl, br0, {ip(address)});
  };
  bed.container.exec("ip address add 198.18.0.20/24 dev eth0");
  CHECK(exposer::bridge_port_holding(rtnl, br0, {ip("198.18.0.2"), ip("198.18.0.20")}) == "port2");
  // Whose address is free, or another's, is not pinned to where only one of them is.
  CHECK(exposer::bridge_port_holding(rtnl, br0, {ip("198.18.0.2"), ip("198.18.0.99")}).empty());
  CHECK(exposer::bridge_port_holding(rtnl, br0, {ip("198.18.0.2"), ip("198.18.0.3")}).empty());
  CHECK(port_of("198.18.0.2") == "port2");
  CHECK(port_of("198.18.0.3") == "port3");
  CHECK(port_of("198.18.0.99").empty());
  CHECK(port_of("198.18.1.2").empty());  // on the other bridge
  bed.hostile.exec("ip address add 198.18.0.2/24 dev eth0");
  CHECK(port_of("198.18.0.2").empty());
}

TEST_CASE("pins that somebody takes away or alters come back within a second") {
  const Testbed bed;
  const auto exposer = bed.exposer();
  const auto exposure = exposer->expose(bed.for_container({HostPort::same(8088)}));
  const auto pins = exec("nft -s list table bridge tc_hostnet");
  for (const char* harm :
       {"nft delete table bridge tc_hostnet", "nft flush set bridge tc_hostnet ports",
        "nft flush chain bridge tc_hostnet pins", "nft insert rule bridge tc_hostnet pins accept",
        "nft add element bridge tc_hostnet ports '{ 198.18.0.2 . \"eth9\" }'",
        "nft add table bridge tc_hostnet '{ flags dormant; }'"}) {
    CAPTURE(harm);
    exec(harm);
    CHECK(eventually([&] { return try_exec("nft -s list table bridge tc_hostnet").output == pins; },
                     std::chrono::seconds{1}));
  }
}

TEST_CASE("pins that nobody holds any more go with the next command, and with the port while nobody looks") {
  const Testbed bed;
  {
    const UnwatchedLeases lease(bed.runtime_dir(), bed.for_container({HostPort::same(8088)}));
    CHECK(try_exec(kList).status == 0);
    bed.container.exec("ip link delete eth0");
    const auto exposer = bed.exposer();
    exposer->expose(Testbed::on_br0({HostPort::same(9000)})).release();
    CHECK(try_exec(kList).status != 0);
  }
  exec("nft add table bridge tc_hostnet");
  bed.exposer()->expose(Testbed::on_br0({HostPort::same(9000)})).release();
  CHECK(try_exec(kList).status != 0);
  CHECK_FALSE(Testbed::has_ours());
}

TEST_CASE("a container that leaves its port of the bridge takes its lease with it") {
  const Testbed bed;
  const auto exposer = bed.exposer();
  auto exposure = exposer->expose(bed.for_container({HostPort::same(8088)}));
  bed.container.exec("ip link delete eth0");
  CHECK(eventually([&] { return exposure.state() == ExposureState::released; }, std::chrono::seconds{1}));
  CHECK(exposure.reason() == "its container has left the bridge");
  CHECK_FALSE(Testbed::has_ours());
}
