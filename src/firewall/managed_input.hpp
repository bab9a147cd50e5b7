// Puts the INPUT part of a plan also into the table of iptables-nft, on hosts where that manages INPUT.
//
// An accept in legacy ip_tables does not overrule a drop in nf_tables, so on such a host the chain TCHN-IN
// must also stand in nft's `ip filter`. The rules must have the xtables form: otherwise iptables-nft would
// call the table incompatible, and every later `ufw reload` would fail. So the iptables-nft programs write
// them, in one transaction.
#pragma once

#include "core/deadline.hpp"
#include "firewall/ruleset.hpp"
#include "netlink/nft_tables.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hostnet::firewall {

/// Makes INPUT of iptables-nft as planned, if that chain exists and decides anything (policy drop, or rules).
/// Returns whether it changed anything. On other hosts it does nothing and runs no program.
/// @throws Error: no_path when iptables-nft manages INPUT and its programs are missing; failure with their
/// messages.
bool apply_managed_input(const TablePlan& input, Deadline deadline);

/// Input for `iptables-nft-restore --noflush` that turns `saved` (iptables-nft-save's output for table
/// filter) into the plan; nullopt when it already matches. Pure.
std::optional<std::string> restore_script(const TablePlan& input, std::string_view saved);

}  // namespace hostnet::firewall
