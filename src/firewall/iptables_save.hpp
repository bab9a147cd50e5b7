// The output of iptables-save as tables, chains and the words of rules. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::firewall {

/// A chain and the words of its rules.
struct SavedChain {
  std::string policy;  ///< "-" for a chain of the user's own.
  std::vector<std::vector<std::string>> rules;
};

struct SavedTable {
  std::string name;
  std::map<std::string, SavedChain, std::less<>> chains;
};

/// Skips lines that iptables-save does not write.
std::vector<SavedTable> parse_saved(std::string_view saved);

/// The names of its tables: "filter", …
std::vector<std::string> saved_tables(std::string_view saved);

}  // namespace hostnet::firewall
