// What of our nftables table never changes: its sets, maps and chains with their rules.
#pragma once

#include "firewall/ruleset.hpp"

#include <string_view>
#include <vector>

namespace hostnet::firewall::nft {

struct SetShape {
  std::string_view name;
  std::vector<std::string_view> key;       ///< nft's names of the types that are joined.
  std::vector<std::string_view> leads_to;  ///< Of a map.
  [[nodiscard]] bool is_map() const { return !leads_to.empty(); }
};

struct RuleShape {
  std::string_view text;
  /// What must occur in the JSON by which any version of libnftables lists the rule. A rule is known by
  /// these, by its comment and by its place: how the rest of it is printed differs between versions.
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

/// Every rule of ours has it.
inline constexpr std::string_view kRuleComment = "tc-hostnet:guard";

const PartShape& shape_of(Table table);

}  // namespace hostnet::firewall::nft
