// Finds a native chain that drops our traffic.
#include "firewall/input_check.hpp"

#include <fmt/format.h>

#include <linux/netfilter.h>

#include <algorithm>

namespace hostnet::firewall {
namespace {

bool matches_interface(const std::string& pattern, const std::string& interface) {
  if (pattern.ends_with('*')) return interface.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == interface;
}

bool certainly_accepts(const netlink::NftRule& rule, const std::string& bridge) {
  if (!rule.accepts || rule.other_matches > 0) return false;
  return !rule.iifname || matches_interface(*rule.iifname, bridge);
}

}  // namespace

bool is_iptables_nft_input(const netlink::NftChain& chain) {
  return chain.base && chain.family == "ip" && chain.table == "filter" && chain.name == "INPUT";
}

std::optional<Blocker> find_blocker(
    const std::vector<netlink::NftChain>& chains,
    const std::function<std::vector<netlink::NftRule>(const netlink::NftChain&)>& rules,
    const std::string& bridge) {
  for (const auto& chain : chains) {
    if (!chain.base || chain.hook != NF_INET_LOCAL_IN || !chain.drop_policy || is_iptables_nft_input(chain))
      continue;
    if (std::ranges::any_of(rules(chain), [&](const auto& rule) { return certainly_accepts(rule, bridge); }))
      continue;
    const auto name = fmt::format("{} {} {}", chain.family, chain.table, chain.name);
    return Blocker{name,
                   fmt::format("nft insert rule {} iifname \"{}\" ct status dnat accept", name, bridge)};
  }
  return std::nullopt;
}

std::optional<Blocker> find_blocker(const std::string& bridge) {
  return find_blocker(netlink::nft_chains(), netlink::nft_rules, bridge);
}

}  // namespace hostnet::firewall
