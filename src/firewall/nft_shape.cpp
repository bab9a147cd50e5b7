// The table's fixed parts.
//
// They use numbers instead of names (6 for tcp, -310 for "raw - 10"): libnftables reads protocol names from
// /etc/protocols, which a small system lacks. The priorities come just before those of the ip_tables tables
// of the same name, for which the plan is written.
//
// A packet unknown to conntrack matches no expression on `ct`, negated or not. So rules first accept what may
// pass (an accept ends this chain only, not another table's), and the final drop has no condition on `ct`.
// Connections that a helper expected would pass as DNATed, so they are dropped before; conntrack knows those.
//
// A key joins at most five fields, hence two maps for forwards with an Ethernet and an IP address.
#include "firewall/nft_shape.hpp"

#include <array>

namespace hostnet::firewall::nft {
namespace {

const std::array<PartShape, kTables.size()>& shapes() {
  static const std::array<PartShape, kTables.size()> all{
      PartShape{Table::raw,
                "guard_raw",
                "filter",
                "prerouting",
                -310,
                {{"bridges_raw", {"ifname"}, {}}},
                {{"iifname @bridges_raw ip daddr 127.0.0.0/8 counter drop",
                  {"iifname", "@bridges_raw", "daddr", "127.0.0.0", "drop"}},
                 {"iifname @bridges_raw ip saddr 127.0.0.0/8 counter drop",
                  {"iifname", "@bridges_raw", "saddr", "127.0.0.0", "drop"}}}},
      PartShape{Table::mangle,
                "guard_out",
                "filter",
                "postrouting",
                -160,
                {{"bridges_out", {"ifname"}, {}}},
                {{"oifname @bridges_out ip saddr 127.0.0.0/8 ct status expected counter drop",
                  {"oifname", "@bridges_out", "saddr", "127.0.0.0", "status", "expected", "drop"}},
                 {"oifname @bridges_out ip saddr 127.0.0.0/8 ct status dnat accept",
                  {"oifname", "@bridges_out", "saddr", "127.0.0.0", "dnat", "accept"}},
                 {"oifname @bridges_out ip saddr 127.0.0.0/8 counter drop",
                  {"oifname", "@bridges_out", "saddr", "127.0.0.0", "drop"}}}},
      PartShape{Table::filter,
                "guard_in",
                "filter",
                "input",
                -10,
                {{"bridges_in", {"ifname"}, {}}, {"gateways_in", {"ifname", "ipv4_addr"}, {}}},
                {{"iifname @bridges_in ip daddr 127.0.0.0/8 ct status expected counter drop",
                  {"iifname", "@bridges_in", "daddr", "127.0.0.0", "status", "expected", "drop"}},
                 {"ct status dnat iifname . ct original ip daddr @gateways_in accept",
                  {"dnat", "iifname", "original", "@gateways_in", "accept"}},
                 {"iifname @bridges_in ip daddr 127.0.0.0/8 ct direction reply accept",
                  {"iifname", "@bridges_in", "daddr", "127.0.0.0", "direction", "reply", "accept"}},
                 {"iifname @bridges_in ip daddr 127.0.0.0/8 counter drop",
                  {"iifname", "@bridges_in", "daddr", "127.0.0.0", "drop"}}}},
      PartShape{Table::nat,
                "doors",
                "nat",
                "prerouting",
                -110,
                {{"by_mac_source_tcp",
                  {"ifname", "ether_addr", "ipv4_addr", "ipv4_addr", "inet_service"},
                  {"ipv4_addr", "inet_service"}},
                 {"by_mac_source_udp",
                  {"ifname", "ether_addr", "ipv4_addr", "ipv4_addr", "inet_service"},
                  {"ipv4_addr", "inet_service"}},
                 {"by_source",
                  {"ifname", "ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"},
                  {"ipv4_addr", "inet_service"}},
                 {"by_mac",
                  {"ifname", "ether_addr", "ipv4_addr", "inet_proto", "inet_service"},
                  {"ipv4_addr", "inet_service"}},
                 {"by_bridge",
                  {"ifname", "ipv4_addr", "inet_proto", "inet_service"},
                  {"ipv4_addr", "inet_service"}}},
                {{"meta l4proto 6 dnat ip to iifname . ether saddr . ip saddr . ip daddr . tcp dport map "
                  "@by_mac_source_tcp",
                  {"dnat", "@by_mac_source_tcp"}},
                 {"meta l4proto 17 dnat ip to iifname . ether saddr . ip saddr . ip daddr . udp dport map "
                  "@by_mac_source_udp",
                  {"dnat", "@by_mac_source_udp"}},
                 {"dnat ip to iifname . ip saddr . ip daddr . meta l4proto . th dport map @by_source",
                  {"dnat", "@by_source"}},
                 {"dnat ip to iifname . ether saddr . ip daddr . meta l4proto . th dport map @by_mac",
                  {"dnat", "@by_mac"}},
                 {"dnat ip to iifname . ip daddr . meta l4proto . th dport map @by_bridge",
                  {"dnat", "@by_bridge"}}}}};
  return all;
}

}  // namespace

const PartShape& shape_of(Table table) { return shapes()[static_cast<std::size_t>(table)]; }

}  // namespace hostnet::firewall::nft
