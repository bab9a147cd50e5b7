// Packets made by hand and read off the wire, as a container with CAP_NET_RAW can.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "hostnet/port.hpp"
#include "support/netns.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace test {

/// A TCP segment that opens a connection, or a UDP datagram; of one that was read: whatever it was.
struct Packet {
  hostnet::Endpoint source;
  hostnet::Endpoint destination;
  hostnet::Protocol protocol = hostnet::Protocol::tcp;
  std::uint8_t tcp_flags = 0x02;  ///< SYN
  bool operator==(const Packet&) const = default;
};

/// IPv4 header, transport header and, for UDP, a payload, with right checksums.
std::string encode(const Packet& packet);

using Mac = std::array<std::uint8_t, 6>;

/// The hardware address of an interface of the calling thread's namespace.
Mac mac_of(const std::string& interface);

/// A packet socket on an interface. Hears all that comes in by it from its construction on.
class Wire {
 public:
  explicit Wire(const NetNs& netns, const std::string& interface = "eth0");

  void send(const Packet& packet, const Mac& to) const;
  /// A tag in front of a packet, IEEE 802.1Q's or another's. One of VLAN 0 carries a priority alone.
  struct Tag {
    std::uint16_t type = 0x8100;
    std::uint16_t vlan = 0;
  };
  /// In these tags, the outermost first.
  void send_tagged(const Packet& packet, const std::vector<Tag>& tags, const Mac& to) const;
  /// Says by ARP, to everybody, that this address is at this interface. `hardware`: ARPHRD_…
  void claim(hostnet::Ipv4 address, const Mac& own, std::uint16_t hardware = 1) const;
  /// TCP and UDP packets that have come in, and those that come within the time.
  [[nodiscard]] std::vector<Packet> heard(std::chrono::milliseconds window) const;

 private:
  void send(const std::string& bytes, std::uint16_t ether_type, const Mac& to) const;

  int ifindex_ = 0;
  hostnet::Fd socket_;
};

/// Sends by an IPPROTO_RAW socket bound to the interface, from within the namespace.
void send_raw(const NetNs& from, const Packet& packet, const std::string& interface = "eth0");

}  // namespace test
