// The packets of one connection, as each netfilter hook sees them: what a rule of the host's own firewall is
// compared with. Pure.
//
//   path          hook, in the packet's order                      source → destination at that hook
//   to the host   netdev ingress; bridge prerouting, input         container → gateway:dialled port
//                 bridge input, with net.bridge.bridge-nf-call-    container → service:host port
//                 iptables: family ip has done the DNAT already
//                 prerouting before DNAT (priority below -100)     container → gateway:dialled port
//                 prerouting after DNAT, input                     container → service:host port
//                 output, postrouting: the answer                  service:host port → container
//                 bridge output, postrouting, netdev egress: the   gateway:dialled port → container
//                 answer
//   to a socket   as to the host, with the dialled address and port everywhere
//   of the host
//   to a sidecar  netdev ingress; bridge prerouting, forward,      container → sidecar:dialled port
//                 postrouting
//                 netdev egress of the container's port: the       sidecar:dialled port → container
//                 answer
//                 prerouting, forward, postrouting: only with      the same; both interfaces are the bridge
//                 net.bridge.bridge-nf-call-iptables
#pragma once

#include "firewall/ruleset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hostnet::firewall {

/// Whether a rule matches: `maybe` if it compares something that is not known here.
enum class Truth : std::uint8_t { no, maybe, yes };

/// The connection whose packets are followed.
struct Passage {
  std::string bridge;
  std::string port;                           ///< The container's bridge port; empty: unknown.
  Prefix source;                              ///< The container, or the network of all that may dial.
  Ipv4 dialled;                               ///< The gateway, or the sidecar.
  std::optional<std::uint16_t> dialled_port;  ///< nullopt: any.
  std::optional<std::uint16_t> host_port;     ///< nullopt: any.
  Protocol protocol = Protocol::tcp;
  bool to_sidecar = false;
  bool bridge_calls_iptables = false;  ///< Bridged packets pass the hooks of family ip, too.
  Ipv4 service = kLoopback;            ///< The address that the DNAT leads to.
  bool dnat = true;  ///< false: a socket of this host is at the dialled address; `service` is that, too.
};

enum class Hook : std::uint8_t { ingress, prerouting, input, forward, output, postrouting, egress };

/// By nft's or iptables' name in any case; nullopt for an unknown one.
std::optional<Hook> parse_hook(std::string_view name);

/// The bit of a TCP flag, "syn" or "SYN"; nullopt for an unknown one.
std::optional<std::uint64_t> parse_tcp_flag(std::string_view name);

enum class Layer : std::uint8_t { device, bridge, ip };

/// A packet at one hook.
struct Packet {
  std::string in;   ///< Interface; at a hook of the bridge layer its port. Empty: none, or unknown.
  std::string out;  ///< Likewise.
  bool has_in = false;
  bool has_out = false;
  std::string bridge;  ///< At hooks of the bridge layer: the bridge of these ports.
  Prefix source;
  Prefix destination;
  Protocol protocol = Protocol::tcp;
  std::optional<std::uint16_t> source_port;  ///< nullopt: any.
  std::optional<std::uint16_t> destination_port;
  bool tracked = false;                      ///< conntrack knows it already.
  bool dnat = false;                         ///< Its connection was DNATed.
  bool answer = false;                       ///< It is the first packet of the other direction.
  std::optional<Ipv4> original_destination;  ///< Of a tracked connection.
  std::optional<bool> to_host;               ///< Its destination is one of the host's; nullopt: unknown.

  [[nodiscard]] bool is_l2() const { return !bridge.empty(); }
  /// Without the two of ECN, which Linux requests only if told to (sysctl tcp_ecn).
  [[nodiscard]] std::uint64_t tcp_flags() const { return answer ? 0x12 : 0x02; }
};

/// The packet at that hook; nullopt if none of the connection's packets passes it. `priority` as nft counts;
/// `device`: of layer device, the bridge or the container's port.
std::optional<Packet> packet_at(const Passage& passage, Layer layer, Hook hook, int priority,
                                const std::string& device = {});

/// The packet's place in the order of hooks, for sorting; smaller is earlier.
int place_of(Layer layer, Hook hook);

// Comparisons of one field.
Truth is_within(const Prefix& value, const Prefix& wanted);
Truth is_port_within(std::optional<std::uint16_t> value, std::uint64_t from, std::uint64_t to);
/// `wanted` may end in '*' (nft) or '+' (iptables). An interface whose name is not known may match.
Truth is_interface(bool there, const std::string& name, std::string_view wanted);
Truth negation(Truth truth);
Truth both(Truth one, Truth other);
Truth either(Truth one, Truth other);

}  // namespace hostnet::firewall
