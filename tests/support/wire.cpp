// Encodes, sends and reads packets.
#include "support/wire.hpp"

#include "support/sockets.hpp"

#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <linux/if_packet.h>

#include <cstring>
#include <optional>

namespace test {
namespace {

using hostnet::Endpoint;
using hostnet::Ipv4;
using hostnet::Protocol;

template <class Header>
void append(std::string& bytes, const Header& header) {
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
}

// RFC 1071, over an even number of bytes.
std::uint16_t checksum(std::string_view bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    sum += word;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

struct PseudoHeader {
  std::uint32_t source;
  std::uint32_t destination;
  std::uint8_t zero;
  std::uint8_t protocol;
  std::uint16_t length;
};

std::string transport(const Packet& packet, std::uint16_t sum) {
  std::string bytes;
  if (packet.protocol == Protocol::tcp) {
    tcphdr header{};
    header.th_sport = htons(packet.source.port);
    header.th_dport = htons(packet.destination.port);
    header.th_seq = htonl(1);
    header.th_off = sizeof header / 4;
    header.th_flags = packet.tcp_flags;
    header.th_win = htons(64240);
    header.th_sum = sum;
    append(bytes, header);
  } else {
    udphdr header{};
    header.uh_sport = htons(packet.source.port);
    header.uh_dport = htons(packet.destination.port);
    header.uh_ulen = htons(sizeof header + 2);
    header.uh_sum = sum;
    append(bytes, header);
    bytes += "!!";
  }
  return bytes;
}

std::optional<Packet> decode(std::string_view bytes) {
  iphdr header{};
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t length = header.ihl * 4U;
  if (header.version != 4 || (header.protocol != IPPROTO_TCP && header.protocol != IPPROTO_UDP))
    return std::nullopt;
  std::array<std::uint16_t, 2> ports{};
  if (bytes.size() < length + 14) return std::nullopt;
  std::memcpy(ports.data(), bytes.data() + length, sizeof ports);
  const bool tcp = header.protocol == IPPROTO_TCP;
  return Packet{.source = {Ipv4::from_network(header.saddr), ntohs(ports[0])},
                .destination = {Ipv4::from_network(header.daddr), ntohs(ports[1])},
                .protocol = tcp ? Protocol::tcp : Protocol::udp,
                .tcp_flags = tcp ? static_cast<std::uint8_t>(bytes[length + 13]) : std::uint8_t{0}};
}

}  // namespace

std::string encode(const Packet& packet) {
  const auto source = packet.source.address.network();
  const auto destination = packet.destination.address.network();
  const auto protocol = static_cast<std::uint8_t>(packet.protocol);
  const auto unsummed = transport(packet, 0);
  std::string summed;
  append(summed,
         PseudoHeader{source, destination, 0, protocol, htons(static_cast<std::uint16_t>(unsummed.size()))});
  const auto body = transport(packet, checksum(summed + unsummed));

  iphdr header{};
  header.version = 4;
  header.ihl = sizeof header / 4;
  header.tot_len = htons(static_cast<std::uint16_t>(sizeof header + body.size()));
  header.id = htons(1);
  header.ttl = 64;
  header.protocol = protocol;
  header.saddr = source;
  header.daddr = destination;
  std::string bytes;
  append(bytes, header);
  header.check = checksum(bytes);
  bytes.clear();
  append(bytes, header);
  return bytes + body;
}

Mac mac_of(const std::string& interface) {
  const auto socket = open_socket();
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  check_call(::ioctl(socket.get(), SIOCGIFHWADDR, &request), "SIOCGIFHWADDR");
  Mac mac{};
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

Wire::Wire(const NetNs& netns, const std::string& interface) {
  socket_ = netns.run([&] {
    hostnet::Fd socket(
        check_call(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP)), "packet socket"));
    ifindex_ = static_cast<int>(::if_nametoindex(interface.c_str()));
    const sockaddr_ll here{.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = ifindex_};
    check_call(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here),
               "bind packet socket");
    return socket;
  });
}

void Wire::send(const Packet& packet, const Mac& to) const { send(encode(packet), ETH_P_IP, to); }

void Wire::send_tagged(const Packet& packet, const std::vector<Tag>& tags, const Mac& to) const {
  std::string bytes;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    append(bytes, htons(tags[i].vlan));
    append(bytes, htons(i + 1 < tags.size() ? tags[i + 1].type : std::uint16_t{ETH_P_IP}));
  }
  send(bytes + encode(packet), tags.empty() ? std::uint16_t{ETH_P_IP} : tags.front().type, to);
}

void Wire::claim(Ipv4 address, const Mac& own, std::uint16_t hardware) const {
  std::string bytes;
  for (const int word : {int{hardware}, ETH_P_IP, 0x0604, 2})
    append(bytes, htons(static_cast<std::uint16_t>(word)));
  for (int side = 0; side < 2; ++side) {
    append(bytes, own);
    append(bytes, address.network());
  }
  send(bytes, ETH_P_ARP, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
}

void Wire::send(const std::string& bytes, std::uint16_t ether_type, const Mac& to) const {
  sockaddr_ll there{
      .sll_family = AF_PACKET, .sll_protocol = htons(ether_type), .sll_ifindex = ifindex_, .sll_halen = 6};
  std::memcpy(there.sll_addr, to.data(), to.size());
  check_call(static_cast<int>(::sendto(socket_.get(), bytes.data(), bytes.size(), 0,
                                       reinterpret_cast<const sockaddr*>(&there), sizeof there)),
             "send a frame");
}

std::vector<Packet> Wire::heard(std::chrono::milliseconds window) const {
  std::vector<Packet> packets;
  const auto deadline = std::chrono::steady_clock::now() + window;
  std::array<char, 65536> buffer;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{.fd = socket_.get(), .events = POLLIN};
    if (::poll(&waiting, 1, std::max(0, static_cast<int>(left.count()))) != 1) return packets;
    const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) return packets;
    if (const auto packet = decode({buffer.data(), static_cast<std::size_t>(got)}))
      packets.push_back(*packet);
  }
}

void send_raw(const NetNs& from, const Packet& packet, const std::string& interface) {
  from.run([&] {
    const hostnet::Fd socket(
        check_call(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), "raw socket"));
    const auto size = static_cast<socklen_t>(interface.size());
    check_call(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.data(), size),
               "SO_BINDTODEVICE");
    const auto address = socket_address({packet.destination.address, 0});
    const auto bytes = encode(packet);
    check_call(static_cast<int>(::sendto(socket.get(), bytes.data(), bytes.size(), 0,
                                         reinterpret_cast<const sockaddr*>(&address), sizeof address)),
               "send a raw packet");
  });
}

}  // namespace test
