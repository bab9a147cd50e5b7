// The parts of our nftables table that never change: sets, maps, and chains with their rules.
#pragma once

#include "firewall/ruleset.hpp"

#include <string_view>
#include <vector>

namespace hostnet::firewall::nft {

struct SetShape {
  std::string_view name;
  std::vector<std::string_view> key;       ///< nft's names of the joined types.
  std::vector<std::string_view> leads_to;  ///< For a map.
  [[nodiscard]] bool is_map() const { return !leads_to.empty(); }
};

struct RuleShape {
  std::string_view text;
  /// Texts that occur in the rule's JSON listing by any version of libnftables. These, the comment and the
  /// position identify a rule: versions differ in the rest of the listing.
  std::vector<std::string_view> signs;
};

struct PartShape {
  Table table;
  std::string_view chain;
  std::string_view type;
  std::string_view hook;
  int priority;
  std::vector<SetShape> sets;
  std::vector<RuleShape> rules;
};

/// The comment of each of our rules.
inline constexpr std::string_view kRuleComment = "tc-hostnet:guard";

const PartShape& shape_of(Table table);

}  // namespace hostnet::firewall::nft
