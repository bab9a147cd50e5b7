// The INPUT part of a plan once more, in the table of iptables-nft, for hosts whose INPUT is managed there.
//
// An accept in legacy ip_tables does not overrule a drop in nf_tables, so on such a host the chain TCHN-IN
// must also stand in nft's `ip filter`. The rules have to be written in the xtables form, or iptables-nft
// would call the table incompatible and every later `ufw reload` would fail; so the iptables-nft programs
// write them, in one transaction.
#pragma once

#include "core/deadline.hpp"
#include "firewall/ruleset.hpp"
#include "netlink/nft_tables.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::firewall {

/// Makes iptables-nft's INPUT as planned, where that chain exists and decides anything (policy drop, or
/// rules). Returns whether anything had to change. Nothing happens on other hosts, and no program is run
/// there.
/// @throws Error: no_path when INPUT is managed by iptables-nft and its programs are missing; failure with
/// their words.
bool apply_managed_input(const TablePlan& input, Deadline deadline);

/// The text for `iptables-nft-restore --noflush` that leads from `saved` (what iptables-nft-save printed of
/// the filter table) to the plan; nullopt when it is so already. Pure.
std::optional<std::string> restore_script(const TablePlan& input, std::string_view saved);

}  // namespace hostnet::firewall
