// Splits lines and words.
#include "firewall/iptables_save.hpp"

#include "core/strings.hpp"

namespace hostnet::firewall {
namespace {

// Splits a line as iptables-save quotes it: "…" with \ before a quote.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '\\' && i + 1 < line.size()) {
      word += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any || !word.empty()) out.push_back(std::move(word));
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  if (any || !word.empty()) out.push_back(std::move(word));
  return out;
}

}  // namespace

std::vector<SavedTable> parse_saved(std::string_view saved) {
  std::vector<SavedTable> out;
  for (const auto line : split(saved, '\n')) {
    if (line.starts_with('*')) {
      out.push_back({.name = std::string(trim(line.substr(1))), .chains = {}});
    } else if (out.empty()) {
      continue;
    } else if (line.starts_with(':')) {
      const auto words = words_of(line.substr(1));
      if (words.size() >= 2) out.back().chains[words[0]].policy = words[1];
    } else if (line.starts_with("-A ") || line.starts_with('[')) {
      auto words = words_of(line);
      if (words.front().starts_with('[')) words.erase(words.begin());  // counters, with --counters
      if (words.size() < 2 || words[0] != "-A") continue;
      const auto chain = words[1];
      words.erase(words.begin(), words.begin() + 2);
      out.back().chains[chain].rules.push_back(std::move(words));
    }
  }
  return out;
}

std::vector<std::string> saved_tables(std::string_view saved) {
  std::vector<std::string> out;
  for (const auto& table : parse_saved(saved)) out.push_back(table.name);
  return out;
}

}  // namespace hostnet::firewall
