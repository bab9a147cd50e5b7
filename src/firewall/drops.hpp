// Finds the rule of the host's own firewall that drops or rejects a connection to an exposed port: in any
// family, hook and chain of nf_tables, in iptables-nft and in legacy iptables. Pure, except read_rules().
//
// It says "drops" only of a rule that surely matches the connection's packets and is surely reached. A rule
// with a match that it does not know may drop. Our own rules are followed (an accept of ours ends a chain),
// and never named.
#pragma once

#include "core/deadline.hpp"
#include "firewall/packet.hpp"
#include "netlink/nft_hooks.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::firewall {

/// A drop, and the command that lets the connection pass.
struct Drop {
  bool certain = false;
  bool rejects = false;
  /// In iptables' INPUT, where an accept of ours goes to the head: no drop for a lease that is to come.
  bool before_ours = false;
  std::string what;    ///< "the rule with handle 7 in chain inet fence input of nftables"
  std::string remedy;  ///< One command, for a shell.
};

/// The host's rules as its programs list them.
struct RulesText {
  std::string nft;                      ///< `nft --json list ruleset`; empty without nf_tables.
  std::vector<netlink::NftHook> hooks;  ///< The base chains of `nft` that packets pass.
  std::string iptables_nft;             ///< iptables-nft-save; empty if no such table exists.
  std::string iptables_legacy;          ///< iptables-legacy-save; empty if no legacy table exists.
  std::string unseen;                   ///< Why a part is missing although it exists; empty if none is.
};

/// A base chain's drop, with its place in the order of hooks.
struct PlacedDrop {
  int place = 0;
  int priority = 0;
  Drop drop;
};

/// The first certain drop in the packets' order, else the first possible one.
std::optional<Drop> find_drop(const RulesText& rules, const Passage& passage);

/// The drops in nft's listing, by the base chains that packets pass, without the tables of iptables-nft that
/// `others` has. @throws Error for a text that is no listing.
std::vector<PlacedDrop> nft_drops(std::string_view listing, const std::vector<netlink::NftHook>& hooks,
                                  std::string_view others, const Passage& passage);
/// The drops in the output of iptables-save. `program`: "iptables-nft" or "iptables-legacy".
std::vector<PlacedDrop> iptables_drops(std::string_view saved, std::string_view program,
                                       const Passage& passage);

/// Reads the rules of the calling thread's network namespace. Creates no table and loads nothing.
/// @throws Error: not_authorised, timed_out.
RulesText read_rules(Deadline deadline);

/// Whether bridged packets pass the hooks of family ip, too (net.bridge.bridge-nf-call-iptables).
bool bridge_calls_iptables();

}  // namespace hostnet::firewall
