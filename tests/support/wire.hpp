// Hand-made packets, sent and read on the wire as a container with CAP_NET_RAW can.
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

/// A TCP segment that opens a connection, or a UDP datagram. After reading: any TCP or UDP packet.
struct Packet {
  hostnet::Endpoint source;
  hostnet::Endpoint destination;
  hostnet::Protocol protocol = hostnet::Protocol::tcp;
  std::uint8_t tcp_flags = 0x02;  ///< SYN
  bool operator==(const Packet&) const = default;
};

/// Encodes an IPv4 header, a transport header and, for UDP, a payload, with correct checksums.
std::string encode(const Packet& packet);

using Mac = std::array<std::uint8_t, 6>;

/// The hardware address of an interface of the calling thread's namespace.
Mac mac_of(const std::string& interface);

/// A packet socket on an interface. Receives everything that arrives there after its construction.
class Wire {
 public:
  explicit Wire(const NetNs& netns, const std::string& interface = "eth0");

  void send(const Packet& packet, const Mac& to) const;
  /// A tag before a packet, of IEEE 802.1Q or another type. A tag of VLAN 0 carries only a priority.
  struct Tag {
    std::uint16_t type = 0x8100;
    std::uint16_t vlan = 0;
  };
  /// Sends the packet inside these tags, the outermost first.
  void send_tagged(const Packet& packet, const std::vector<Tag>& tags, const Mac& to) const;
  /// Broadcasts an ARP claim that this interface has the address. `hardware`: ARPHRD_…
  void claim(hostnet::Ipv4 address, const Mac& own, std::uint16_t hardware = 1) const;
  /// The TCP and UDP packets received so far and within `window`.
  [[nodiscard]] std::vector<Packet> heard(std::chrono::milliseconds window) const;

 private:
  void send(const std::string& bytes, std::uint16_t ether_type, const Mac& to) const;

  int ifindex_ = 0;
  hostnet::Fd socket_;
};

/// Sends from the namespace through an IPPROTO_RAW socket bound to the interface.
void send_raw(const NetNs& from, const Packet& packet, const std::string& interface = "eth0");

}  // namespace test
