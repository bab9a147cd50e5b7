// The firewall plan: the rules that a set of leases needs, as data. Pure: nothing here touches the kernel.
//
// route_localnet on a bridge makes every service on 127.0.0.0/8 reachable for the bridge's containers. So the
// plan has two halves:
//
//   half       table    effect
//   guard      raw      drops, before routing, packets from the bridge to or from an address in 127.0.0.0/8
//   guard      filter   drops, on INPUT, packets to loopback that no DNAT of a gateway address brought there;
//                       replies to the host's own connections pass, such as those of ports that dockerd
//                       publishes on 127.0.0.1 without a proxy
//   guard      mangle   keeps frames with a loopback source off the bridge
//   forwards   nat      DNAT of gateway:port to one port of one address of 127.0.0.0/8, for one source or for
//                       the whole bridge
//
// The guard also drops connections that a conntrack helper expects (ftp, sip, amanda …): otherwise the data
// on an exposed port could choose another port of the loopback. A packet passes the guard only through a
// forward, because only a forward rewrites its destination after the raw drop.
//
// To set up: the guard first, then the forwards, the sysctl last. To tear down: the reverse.
// path/native/transition.hpp implements that order.
#pragma once

#include "core/ipv4.hpp"
#include "core/loopback.hpp"
#include "core/mac.hpp"
#include "hostnet/port.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// A guarded bridge, and the addresses by which its containers may dial the host.
struct Guard {
  std::string bridge;
  std::vector<Ipv4> gateways;
  auto operator<=>(const Guard&) const = default;
};

/// A port forward: `gateway`:`listen` from `bridge` leads to `service`:`host`.
struct Forward {
  std::string bridge;
  Ipv4 gateway;
  std::optional<Ipv4> source;  ///< Only from this address; nullopt: from all of the bridge.
  Protocol protocol = Protocol::tcp;
  std::uint16_t listen = 0;
  std::uint16_t host = 0;
  std::string lease;       ///< Appears in the rule's comment.
  std::optional<Mac> mac;  ///< Only from this Ethernet address.
  Ipv4 service = kLoopback;
};

struct Prefix {
  Ipv4 address;
  unsigned length = 32;
  bool operator==(const Prefix&) const = default;
};

inline constexpr Prefix kLoopbackNet{{0x7f000000}, 8};

/// `-m conntrack [!] --ctstate DNAT [--ctorigdst A]`
struct DnatState {
  bool negated = false;
  std::optional<Ipv4> original_destination;
  bool operator==(const DnatState&) const = default;
};

struct Verdict {
  enum class Kind { drop, accept, jump, dnat, leave };
  Kind kind = Kind::drop;  ///< `leave` returns to the calling chain: RETURN.
  std::string chain;       ///< With jump only.
  Endpoint to;             ///< With dnat only.
  bool operator==(const Verdict&) const = default;
};

/// One rule, with the meaning of the same words in iptables(8). Unset members match everything.
struct Rule {
  std::string in;
  std::string out;
  std::optional<Prefix> source;
  std::optional<Prefix> destination;
  std::optional<Mac> source_mac;
  std::optional<Protocol> protocol;
  std::uint16_t destination_port = 0;  ///< With `protocol` only.
  std::optional<DnatState> dnat_state;
  bool expected = false;  ///< Only connections that a conntrack helper expects: `--ctstatus EXPECTED`.
  bool reply = false;     ///< Only packets in the reply direction: `--ctdir REPLY`.
  std::string comment;    ///< At most 255 bytes, as the kernel's xt_comment allows.
  Verdict verdict;
  bool operator==(const Rule&) const = default;
};

enum class Table : std::uint8_t { raw, mangle, filter, nat };
inline constexpr std::array kTables{Table::raw, Table::mangle, Table::filter, Table::nat};

/// "raw", "mangle", "filter", "nat".
const char* to_string(Table table) noexcept;

/// Everything of ours in one table: one chain of our own, and the jumps to it at the head of a built-in
/// chain.
struct TablePlan {
  Table table = Table::raw;
  const char* chain = "";  ///< "TCHN-RAW", "TCHN-POST", "TCHN-IN", "TCHN-PRE"
  const char* hook = "";   ///< The built-in chain: "PREROUTING", …
  std::vector<Rule> jumps;
  std::vector<Rule> rules;

  [[nodiscard]] bool empty() const { return jumps.empty() && rules.empty(); }
  bool operator==(const TablePlan& other) const { return jumps == other.jumps && rules == other.rules; }
};

struct Ruleset {
  std::array<TablePlan, 4> tables;  ///< In the order of kTables.
  [[nodiscard]] const TablePlan& of(Table table) const { return tables[static_cast<std::size_t>(table)]; }
};

/// The rules for these guards and forwards. Equal forwards of several leases share one rule, with the first
/// lease's id in its comment. Of the forwards on one port the narrowest comes first: with an Ethernet and an
/// IP address, with an IP address, with an Ethernet address, with neither. Guards without forwards are valid:
/// set-up and tear-down pass through that state. The order of guards does not affect the output.
Ruleset plan(std::span<const Guard> guards, std::span<const Forward> forwards);

/// The rule as arguments of the iptables command, after `-A CHAIN`.
std::string to_iptables(const Rule& rule);

/// One table in iptables-restore's format, as it stands after apply(); for --dry-run and for people.
std::string to_iptables_restore(const TablePlan& plan);

}  // namespace hostnet::firewall
