// A neighbour on the same bridge that takes a container's address: the bridge port identifies it.
#include "attack.hpp"
#include "core/mac.hpp"
#include "support/log_count.hpp"
#include "target/bridge_port.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <net/ethernet.h>
#include <net/if.h>

#include <linux/if_packet.h>

#include <algorithm>
#include <array>
#include <thread>

using namespace hostnet;
using namespace test;

namespace {

constexpr const char* kList = "nft list table bridge tc_hostnet";

// A lease for the container's address only, as the helper makes it without further facts.
class ByAddress {
 public:
  explicit ByAddress(const Testbed& bed, std::vector<HostPort> ports)
      : store_(bed.runtime_dir()), ready_(make(bed, std::move(ports))) {
    auto transaction = store_.begin(soon());
    for (auto& lease : ready_.prepared.leases) lease.port.clear();
    transaction.add(ready_.prepared.leases, ready_.prepared.bridges);
  }
  ByAddress(const ByAddress&) = delete;
  ByAddress& operator=(const ByAddress&) = delete;
  ~ByAddress() {
    auto transaction = store_.begin(soon());
    transaction.remove({ready_.prepared.leases.front().id});
  }

 private:
  Ready make(const Testbed& bed, std::vector<HostPort> ports) {
    const auto request = bed.for_container(std::move(ports));
    return make_ready(store_, std::span(&request, 1));
  }

  exposer::LeaseStore store_;
  Ready ready_;
};

std::vector<HostPort> both_protocols() {
  return {HostPort::same(Secrets::exposed), HostPort::parse(fmt::format("{}/udp", Secrets::port))};
}

using Tags = std::vector<Wire::Tag>;

// "8100:0 88a8:10", outermost tag first.
std::string text_of(const Tags& tags) {
  std::string out;
  for (const auto& tag : tags) out += fmt::format("{}{:x}:{}", out.empty() ? "" : " ", tag.type, tag.vlan);
  return out;
}

// All nestings of that many tags, of three types and two VLANs.
std::vector<Tags> all_tags(std::size_t depth) {
  std::vector<Tags> out{{}};
  for (std::size_t level = 0; level < depth; ++level) {
    std::vector<Tags> deeper;
    for (const auto& tags : out)
      for (const std::uint16_t type : std::to_array<std::uint16_t>({0x8100, 0x88a8, 0x9100}))
        for (const std::uint16_t vlan : std::to_array<std::uint16_t>({0, 10})) {
          deeper.push_back(tags);
          deeper.back().push_back({type, vlan});
        }
    out = std::move(deeper);
  }
  return out;
}

// What the host's IP layer receives through a bridge without vlan_filtering, as the head of
// firewall/bindings.cpp states.
bool passes_for_untagged(const Tags& tags) {
  return std::ranges::all_of(tags, [](const Wire::Tag& tag) { return tag.type != 0x9100 && tag.vlan == 0; });
}

// All frames that an interface receives, with any tags.
class Frames {
 public:
  explicit Frames(const NetNs& netns)
      : socket_(netns.run([] {
          Fd socket(
              check_call(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), "packet socket"));
          const sockaddr_ll here{.sll_family = AF_PACKET,
                                 .sll_protocol = htons(ETH_P_ALL),
                                 .sll_ifindex = static_cast<int>(::if_nametoindex("eth0"))};
          check_call(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), "bind");
          return socket;
        })) {}

  // Whether a frame with this content arrives in time.
  bool hear(const std::string& bytes, std::chrono::milliseconds patience) const {
    return eventually(
        [&] {
          std::array<char, 2048> frame;
          const auto got = ::recv(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
          return got > 0 && std::string_view(frame.data(), static_cast<std::size_t>(got)).find(bytes) !=
                                std::string_view::npos;
        },
        patience);
  }

 private:
  Fd socket_;
};

void send_datagram(const NetNs& from, Ipv4 source, Ipv4 gateway, const Tags& tags) {
  const Wire wire(from);
  const Packet packet{{source, 40'001}, {gateway, Secrets::port}, Protocol::udp};
  wire.send_tagged(packet, tags, mac_of("br0"));
}

bool datagram_reaches(const Secrets& secrets, const NetNs& from, Ipv4 source, Ipv4 gateway,
                      const Tags& tags) {
  const int before = secrets.udp.visits();
  send_datagram(from, source, gateway, tags);
  return eventually([&] { return secrets.udp.visits() > before; }, std::chrono::seconds{3});
}

bool datagram_is_dropped(const Secrets& secrets, const NetNs& from, Ipv4 source, Ipv4 gateway,
                         const Tags& tags) {
  const int before = secrets.udp.visits();
  send_datagram(from, source, gateway, tags);
  return !eventually([&] { return secrets.udp.visits() > before; }, std::chrono::milliseconds{200});
}

// Everything that distinguishes the container from its neighbour on the wire.
void take_over(const NetNs& thief, const NetNs& container) {
  const auto mac = container.run([] { return mac_of("eth0"); });
  thief.exec(
      fmt::format("set -e; ip link set eth0 down; ip link set eth0 address {}\n"
                  "ip address flush dev eth0; ip address add 198.18.0.2/24 dev eth0; ip link set eth0 up",
                  hostnet::Mac{mac}.to_string()));
}

}  // namespace

TEST_CASE("a neighbour in the container's name gets nothing, and the container is served") {
  const Testbed bed;
  const Secrets secrets;
  const auto source = ip("198.18.0.2");
  {
    const auto exposure = bed.exposer()->expose(bed.for_container(both_protocols()));
    for (const auto& tags : {Tags{}, Tags{{0x8100, 0}}, Tags{{0x88a8, 0}}}) {
      CAPTURE(text_of(tags));
      CHECK(datagram_is_dropped(secrets, bed.hostile, source, bed.gateway, tags));
      CHECK(datagram_reaches(secrets, bed.container, source, bed.gateway, tags));
    }
    CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");

    take_over(bed.hostile, bed.container);
    CHECK(dial(bed.hostile, {bed.gateway, Secrets::exposed}) != "web");
    // The bridge decides where answers go; it learns the one Ethernet address on two ports. The thief may
    // take service from its neighbour but must not get any.
    CHECK(eventually(
        [&] {
          return dial(bed.container, {bed.gateway, Secrets::exposed}) == "web";
        },
        std::chrono::seconds{10}));
    CHECK(dial(bed.hostile, {bed.gateway, Secrets::exposed}) != "web");
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("frames in tags, of every type and depth: those that reach the host are pinned") {
  const Testbed bed;
  const Secrets secrets;
  const auto source = ip("198.18.0.2");
  std::vector<Tags> reaching;
  std::vector<Tags> others;
  for (const std::size_t depth : std::to_array<std::size_t>({0, 1, 2}))
    for (auto& tags : all_tags(depth))
      (passes_for_untagged(tags) ? reaching : others).push_back(std::move(tags));
  for (const std::size_t depth : std::to_array<std::size_t>({3, 4, 8}))
    reaching.emplace_back(depth, Wire::Tag{0x8100, 0});
  reaching.push_back({{0x88a8, 0}, {0x8100, 0}, {0x88a8, 0}, {0x8100, 0}});
  others.push_back({{0x8100, 0}, {0x8100, 0}, {0x8100, 10}});
  others.push_back({{0x88a8, 10}, {0x8100, 0}, {0x8100, 0}, {0x8100, 0}});
  const auto heard = [&](const std::vector<Tags>& list) {
    const int before = secrets.udp.visits();
    for (const auto& tags : list) send_datagram(bed.hostile, source, bed.gateway, tags);
    eventually([&] { return secrets.udp.visits() > before; }, std::chrono::milliseconds{500});
    return secrets.udp.visits() - before;
  };
  {
    // The threat: only an address distinguishes the container from others.
    const ByAddress lease(bed, both_protocols());
    for (const auto& tags : reaching) {
      CAPTURE(text_of(tags));
      CHECK(datagram_reaches(secrets, bed.hostile, source, bed.gateway, tags));
    }
    CHECK(heard(others) == 0);
  }
  const auto exposure = bed.exposer()->expose(bed.for_container(both_protocols()));
  CHECK(heard(reaching) == 0);
  CHECK(heard(others) == 0);
}

// A bridge with vlan_filtering removes the outer tag later; then only the inner one remains.
TEST_CASE(
    "of tags in tags the inner one of VLAN 0 is dropped whatever the outer one is, and no other frame") {
  const Testbed bed;
  // To a multicast address, so that the bridge sends it to all of its ports.
  const auto passes = [&](const Tags& tags) {
    const Frames frames(bed.neighbour);
    const Wire wire(bed.hostile);
    static std::uint16_t port = 41'000;
    const Packet packet{{ip("198.18.0.2"), ++port}, {bed.gateway, Secrets::port}, Protocol::udp};
    wire.send_tagged(packet, tags, {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03});
    return frames.hear(encode(packet), std::chrono::milliseconds{300});
  };
  std::vector<Tags> dropped;
  std::vector<Tags> passed{{{0x9100, 0}}, {{0x9100, 10}}};
  for (auto& tags : all_tags(2)) {
    const bool hides = tags[0].type != 0x9100 && tags[1].type != 0x9100 && tags[1].vlan == 0;
    (hides ? dropped : passed).push_back(std::move(tags));
  }
  dropped.push_back({{0x8100, 10}, {0x8100, 0}, {0x8100, 0}, {0x8100, 0}});
  for (const auto& tags : dropped) {
    CAPTURE(text_of(tags));
    CHECK(passes(tags));  // so the bridge would accept it
  }
  const auto exposure = bed.exposer()->expose(bed.for_container({HostPort::same(Secrets::exposed)}));
  for (const auto& tags : dropped) {
    CAPTURE(text_of(tags));
    CHECK_FALSE(passes(tags));
  }
  for (const auto& tags : passed) {
    CAPTURE(text_of(tags));
    CHECK(passes(tags));
  }
  // With one tag the content counts: whether it is for the gateway, with the container's address.
  CHECK_FALSE(passes({{0x8100, 10}}));
}

TEST_CASE("by ARP, a neighbour cannot have the host send it the container's answers") {
  const Testbed bed;
  const Secrets secrets;
  const auto own = bed.hostile.run([] { return mac_of("eth0"); });
  const auto is_believed = [&](std::uint16_t hardware) {
    // The kernel does not overwrite a new entry for a second.
    exec("ip neighbour replace 198.18.0.2 dev br0 lladdr 02:00:00:00:00:02 nud stale");
    std::this_thread::sleep_for(std::chrono::milliseconds{1200});
    Wire(bed.hostile).claim(ip("198.18.0.2"), own, hardware);
    return eventually(
        [&] {
          return exec("ip neighbour show 198.18.0.2 dev br0").find(hostnet::Mac{own}.to_string()) !=
                 std::string::npos;
        },
        std::chrono::milliseconds{300});
  };
  {
    const ByAddress lease(bed, {HostPort::same(Secrets::exposed)});
    for (const std::uint16_t hardware : std::to_array<std::uint16_t>({1, 6}))
      CHECK(is_believed(hardware));  // Ethernet, IEEE 802
  }
  const auto exposure = bed.exposer()->expose(bed.for_container({HostPort::same(Secrets::exposed)}));
  for (const std::uint16_t hardware : std::to_array<std::uint16_t>({1, 6}))
    CHECK_FALSE(is_believed(hardware));
  exec("ip neighbour del 198.18.0.2 dev br0");
  CHECK(dial(bed.container, {bed.gateway, Secrets::exposed}) == "web");
  // Other hosts receive it: an address may move to another container on purpose.
  const Frames frames(bed.neighbour);
  Wire(bed.hostile).claim(ip("198.18.0.2"), own);
  CHECK(frames.hear(std::string(own.begin(), own.end()) + std::string("\xc6\x12\0\2", 4),
                    std::chrono::milliseconds{500}));
}

TEST_CASE("with an address alone, the neighbour who takes it over is served: that is what pins are for") {
  const Testbed bed;
  const Secrets secrets;
  const ByAddress lease(bed, {HostPort::same(Secrets::exposed)});
  take_over(bed.hostile, bed.container);
  // After the bridge has last learned the one Ethernet address on this port.
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

TEST_CASE("who has an address is seen from outside, unless two have it; and if not, why") {
  const Testbed bed;
  netlink::Rtnl rtnl;
  const auto br0 = rtnl.link("br0")->ifindex;
  const auto found = [&](const std::vector<Ipv4>& addresses) {
    const auto port = exposer::bridge_port_holding(rtnl, br0, addresses);
    CHECK(port.name.empty() == !port.fault.empty());
    return port.name + port.fault + (port.contested ? "!" : "");
  };
  bed.container.exec("ip address add 198.18.0.20/24 dev eth0");
  CHECK(found({ip("198.18.0.2"), ip("198.18.0.20")}) == "port2");
  // A free or foreign address is not bound to the port of one of its neighbours.
  CHECK(found({ip("198.18.0.2"), ip("198.18.0.99")}) == "198.18.0.99 is behind no port of the bridge");
  CHECK(found({ip("198.18.0.2"), ip("198.18.0.3")}) ==
        "its addresses are behind several ports of the bridge");
  CHECK(found({ip("198.18.0.2")}) == "port2");
  CHECK(found({ip("198.18.0.3")}) == "port3");
  CHECK(found({ip("198.18.0.99")}) == "198.18.0.99 is behind no port of the bridge");
  CHECK(found({ip("198.18.1.2")}) == "198.18.1.2 is behind no port of the bridge");  // on the other bridge
  bed.hostile.exec("ip address add 198.18.0.2/24 dev eth0");
  for (const auto& addresses :
       {std::vector{ip("198.18.0.2")}, std::vector{ip("198.18.0.99"), ip("198.18.0.2")}}) {
    const auto said = found(addresses);
    CAPTURE(said);
    CHECK(said.starts_with("198.18.0.2 is behind two ports of the bridge"));
    CHECK(said.find("port2") != std::string::npos);
    CHECK(said.find("port4") != std::string::npos);
    CHECK(said.ends_with("!"));
  }
  CHECK(found({ip("198.18.0.20")}) == "port2");
  // The kernel tells nothing about this port's other end, so it may have any address.
  exec("ip tuntap add dev tap7 mode tap && ip link set tap7 master br0 up");
  CHECK(found({ip("198.18.0.20")}).find("cannot see what is behind port tap7 of the bridge") !=
        std::string::npos);
}

TEST_CASE("a lease for one container says whether it is pinned, and if not, why, and so does the log") {
  const Testbed bed;
  const LogCount warnings("is unpinned");
  const auto exposer = bed.exposer();
  CHECK(exposer->expose(Testbed::on_br0({HostPort::same(8088)})).unpinned().empty());
  // A neighbour's copy of the address does not matter when the test enters the container's own namespace.
  bed.hostile.exec("ip address add 198.18.0.2/24 dev eth0");
  CHECK(exposer->expose(bed.for_container({HostPort::same(8088)})).unpinned().empty());
  CHECK(warnings.times() == 0);
  exec("ip link set port2 down && ip link set port2 name 'odd\"port' && ip link set 'odd\"port' up");
  const auto exposure = exposer->expose(bed.for_container({HostPort::same(8088)}));
  CHECK(exposure.unpinned().find("has a name that cannot be used in a rule") != std::string::npos);
  CHECK(warnings.times() == 1);
  CHECK(try_exec(kList).status != 0);
}

TEST_CASE("bindings that another program removes or alters come back within a second") {
  const Testbed bed;
  const auto exposer = bed.exposer();
  const auto exposure = exposer->expose(bed.for_container({HostPort::same(8088)}));
  const auto bindings = exec("nft -s list table bridge tc_hostnet");
  for (const char* harm :
       {"nft delete table bridge tc_hostnet", "nft flush set bridge tc_hostnet ports",
        "nft flush chain bridge tc_hostnet pins", "nft flush chain bridge tc_hostnet claims",
        "nft insert rule bridge tc_hostnet pins accept",
        "nft add element bridge tc_hostnet ports '{ 198.18.0.2 . \"eth9\" }'",
        "nft add table bridge tc_hostnet '{ flags dormant; }'"}) {
    CAPTURE(harm);
    exec(harm);
    CHECK(eventually([&] { return try_exec("nft -s list table bridge tc_hostnet").output == bindings; },
                     std::chrono::seconds{1}));
  }
}

TEST_CASE(
    "bindings without a lease go with the next command, and with the port if no process monitors them") {
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
