// The attacks.
#include "attack.hpp"

#include "support/unprivileged.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace test {
namespace {

using namespace std::chrono_literals;
using hostnet::Endpoint;
using hostnet::Ipv4;
using hostnet::Protocol;

// Ample for a packet on a veth; each failed attack costs this time.
constexpr auto kPatience = 150ms;

bool answered(const Wire& wire, std::chrono::milliseconds window) {
  const auto packets = wire.heard(window);
  return std::ranges::any_of(packets,
                             [](const Packet& packet) { return packet.source.address.is_loopback(); });
}

// Two attempts must not look like one connection to conntrack.
std::uint16_t fresh_port() {
  static std::uint16_t last = 40'000;
  return ++last;
}

}  // namespace

bool frames_reach(const Secrets& secrets, const NetNs& from, const std::string& bridge, Ipv4 source,
                  Ipv4 destination, std::uint16_t port) {
  const auto host = mac_of(bridge);
  const int before = secrets.udp.visits();
  const Wire wire(from);
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    wire.send({{source, fresh_port()}, {destination, port}, protocol}, host);
  return answered(wire, kPatience) || secrets.udp.visits() > before;
}

bool raw_packets_reach(const Secrets& secrets, const NetNs& from, Ipv4 source) {
  const int before = secrets.udp.visits();
  const Wire wire(from);
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    send_raw(from, {{source, fresh_port()}, {ip("127.0.0.1"), Secrets::port}, protocol});
  return answered(wire, kPatience) || secrets.udp.visits() > before;
}

void route_loopback_out(const NetNs& netns, Ipv4 gateway) {
  netns.exec(
      fmt::format("set -e; ip address flush dev lo; ip link set lo down\n"
                  "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1\n"
                  "ip route add 127.0.0.0/8 via {} dev eth0",
                  gateway.to_string()));
}

bool nobody_reaches(const Secrets& secrets, const NetNs& from) {
  const int before = secrets.udp.visits();
  from.run([] {
    return run_unprivileged([] {
      const auto socket = open_socket(SOCK_DGRAM);
      check_call(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4), "SO_BINDTODEVICE");
      const auto to = socket_address({ip("127.0.0.1"), Secrets::port});
      return check_call(static_cast<int>(::sendto(socket.get(), "!", 1, 0,
                                                  reinterpret_cast<const sockaddr*>(&to), sizeof to)),
                        "sendto");
    });
  });
  return eventually([&] { return secrets.udp.visits() > before; }, kPatience);
}

bool forged_caller_is_heard(const Secrets& secrets, const NetNs& from, const std::string& bridge, Ipv4 source,
                            Ipv4 destination) {
  const int before = secrets.trusting.visits();
  const Wire wire(from);
  wire.send({{source, fresh_port()}, {destination, 5353}, Protocol::udp}, mac_of(bridge));
  return eventually([&] { return secrets.trusting.visits() > before; }, kPatience);
}

}  // namespace test
