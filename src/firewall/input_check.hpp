// Checks whether the host's own firewall admits our traffic. Two kinds of firewall need two answers.
//
// Our rules do not overrule other netfilter tables: a packet must pass every base chain on INPUT.
//
//   INPUT belongs to                       remedy
//   iptables-nft (ufw on Debian, many      an accept at the head of that chain: managed_input.hpp
//   hand-written set-ups)
//   a native nft chain with policy drop    only its owner can open it: find_blocker() names the chain and the
//                                          nft command to run
#pragma once

#include "netlink/nft_tables.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// A native nftables chain that drops traffic from a bridge's containers to the exposed port.
struct Blocker {
  std::string chain;   ///< "inet filter input"
  std::string remedy;  ///< The nft command that admits the traffic.
};

/// Whether the chain is INPUT of iptables-nft, which the iptables command and managed_input.hpp can edit.
bool is_iptables_nft_input(const netlink::NftChain& chain);

/// The first native chain on the input hook with policy drop and without a rule that certainly accepts DNATed
/// traffic from the bridge. A rule counts when it accepts everything, everything from that bridge, or `ct
/// status dnat`. Pure: `rules` returns a chain's rules.
std::optional<Blocker> find_blocker(
    const std::vector<netlink::NftChain>& chains,
    const std::function<std::vector<netlink::NftRule>(const netlink::NftChain&)>& rules,
    const std::string& bridge);

/// find_blocker() for this network namespace's tables. @throws Error (CAP_NET_ADMIN).
std::optional<Blocker> find_blocker(const std::string& bridge);

}  // namespace hostnet::firewall
