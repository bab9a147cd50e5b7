// The firewall plan: which rules a set of leases needs, as data. Pure: nothing here touches the kernel.
//
// route_localnet on a bridge turns every service on 127.0.0.0/8 into one that the bridge's containers can
// reach. The plan therefore has two halves. The *guard* of a bridge drops whatever comes from it for, or with
// a source in, 127.0.0.0/8 before routing (raw), drops on INPUT what reached loopback by any way other than a
// DNAT of a gateway address (filter; answers to what this host itself has asked pass, as those from the ports
// that dockerd publishes on 127.0.0.1 without a proxy), and keeps frames with a loopback source off the
// bridge (mangle). Nor does a connection pass that a conntrack helper has foretold (ftp, sip, amanda …): what
// is said on an exposed port would else choose another port of the loopback. The *forwards* are the
// exceptions: DNAT of gateway:port to 127.0.0.1:port (nat), for one source or for all of the bridge. A packet
// passes the guard only through a forward, because only a forward rewrites its destination after the raw
// drop.
//
// Whoever applies a plan must put the guard in before the forwards, and the sysctl last; and the reverse way
// out. path/native/transition.hpp has that order.
#pragma once

#include "core/ipv4.hpp"
#include "core/mac.hpp"
#include "hostnet/port.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// A bridge to be guarded, and the addresses by which its containers may dial the host.
struct Guard {
  std::string bridge;
  std::vector<Ipv4> gateways;
  auto operator<=>(const Guard&) const = default;
};

/// One way in: `gateway`:`listen` from `bridge` leads to 127.0.0.1:`host`.
struct Forward {
  std::string bridge;
  Ipv4 gateway;
  std::optional<Ipv4> source;  ///< Only from this address; nullopt: from anybody on the bridge.
  Protocol protocol = Protocol::tcp;
  std::uint16_t listen = 0;
  std::uint16_t host = 0;
  std::string lease;       ///< Named in the rule's comment.
  std::optional<Mac> mac;  ///< Only from this Ethernet address.
};

struct Prefix {
  Ipv4 address;
  unsigned length = 32;
  bool operator==(const Prefix&) const = default;
};

inline constexpr Prefix kLoopbackNet{{0x7f000000}, 8};
inline constexpr Ipv4 kLoopback{0x7f000001};

/// `-m conntrack [!] --ctstate DNAT [--ctorigdst A]`
struct DnatState {
  bool negated = false;
  std::optional<Ipv4> original_destination;
  bool operator==(const DnatState&) const = default;
};

struct Verdict {
  enum class Kind { drop, accept, jump, dnat, leave };
  Kind kind = Kind::drop;  ///< `leave` is back to the chain that jumped here: RETURN.
  std::string chain;       ///< For jump.
  Endpoint to;             ///< For dnat.
  bool operator==(const Verdict&) const = default;
};

/// One rule with the meaning iptables(8) gives the same words. Unset parts match everything.
struct Rule {
  std::string in;
  std::string out;
  std::optional<Prefix> source;
  std::optional<Prefix> destination;
  std::optional<Mac> source_mac;
  std::optional<Protocol> protocol;
  std::uint16_t destination_port = 0;  ///< With `protocol` only.
  std::optional<DnatState> dnat_state;
  bool expected = false;  ///< Only connections that a conntrack helper has foretold: `--ctstatus EXPECTED`.
  bool reply = false;     ///< Only what answers the first packet of its connection: `--ctdir REPLY`.
  std::string comment;    ///< At most 255 bytes, as the kernel's xt_comment allows.
  Verdict verdict;
  bool operator==(const Rule&) const = default;
};

enum class Table : std::uint8_t { raw, mangle, filter, nat };
inline constexpr std::array kTables{Table::raw, Table::mangle, Table::filter, Table::nat};

/// "raw", "mangle", "filter", "nat".
const char* to_string(Table table) noexcept;

/// All that tc-hostnet has in one table: one chain of its own and the jumps to it at the head of a built-in
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

/// The rules for these guards and forwards. Equal forwards of several leases give one rule, commented with
/// the first lease's id; of forwards on one port the narrowest comes first: for an Ethernet and an IP
/// address, for an IP address, for an Ethernet address, for everybody. Guards without forwards are allowed:
/// that is what set-up and tear-down pass through. Equal input in any order of guards gives equal output.
Ruleset plan(std::span<const Guard> guards, std::span<const Forward> forwards);

/// The rule's arguments as an iptables command takes them after `-A CHAIN`.
std::string to_iptables(const Rule& rule);

/// One table in iptables-restore's format, as it stands after applying; for --dry-run and for people.
std::string to_iptables_restore(const TablePlan& plan);

}  // namespace hostnet::firewall
