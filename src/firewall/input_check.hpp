// Would the host's own firewall let our traffic in? Two firewalls need two answers.
//
// Rules of other netfilter tables are not overruled by ours: a packet must pass every base chain on INPUT.
// Where INPUT is managed by iptables-nft (ufw on Debian, many hand-written set-ups), an accept of ours at the
// head of that very chain lets the traffic in, and managed_input.hpp puts it there. Where a native nft chain
// drops by policy, nobody but its author can open it: that is found here, and said with the line to add.
#pragma once

#include "netlink/nft_tables.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::firewall {

/// A native nftables chain that drops what a bridge's containers send to the exposed port.
struct Blocker {
  std::string chain;   ///< "inet filter input"
  std::string remedy;  ///< The nft command that lets the traffic in.
};

/// Whether the chain is the INPUT of iptables-nft, which the iptables command and we can edit.
bool is_iptables_nft_input(const netlink::NftChain& chain);

/// The first native chain on the input hook with policy drop and no rule that certainly accepts DNATed
/// traffic from the bridge. A rule counts when it accepts everything, everything from that bridge, or `ct
/// status dnat`. Pure: `rules` gives a chain's rules.
std::optional<Blocker> find_blocker(
    const std::vector<netlink::NftChain>& chains,
    const std::function<std::vector<netlink::NftRule>(const netlink::NftChain&)>& rules,
    const std::string& bridge);

/// find_blocker() on this network namespace's tables. @throws Error (CAP_NET_ADMIN).
std::optional<Blocker> find_blocker(const std::string& bridge);

}  // namespace hostnet::firewall
