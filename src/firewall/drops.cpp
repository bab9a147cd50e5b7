// Reads the rules by their own programs, and chooses the first drop.
#include "firewall/drops.hpp"

#include "core/file.hpp"
#include "core/process.hpp"
#include "core/strings.hpp"
#include "firewall/libnftables.hpp"
#include "hostnet/error.hpp"
#include "netlink/nft_tables.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace hostnet::firewall {
namespace {

// Names that iptables-nft gives its base chains; a table with another one is not iptables-nft's.
bool is_of_iptables_nft(const netlink::NftChain& chain) {
  return chain.family == "ip" && chain.base && !chain.name.empty() && chain.name.front() >= 'A' &&
         chain.name.front() <= 'Z' &&
         (chain.table == "raw" || chain.table == "mangle" || chain.table == "filter" ||
          chain.table == "nat" || chain.table == "security");
}

// The text that the program prints; nothing, and a reason, if it is missing or fails.
std::string saved_by(const char* program, RulesText& rules, Deadline deadline) {
  try {
    auto result = run_process({program}, {}, deadline);
    if (result.exit_code == 0) return std::move(result.output);
    rules.unseen = fmt::format("{} fails: {}", program, trim(result.errors));
  } catch (const Error& error) {
    if (error.code() == Errc::timed_out) throw;
    rules.unseen = error.what();
  }
  return {};
}

}  // namespace

RulesText read_rules(Deadline deadline) {
  RulesText rules;
  // Only a legacy table that exists is listed: naming a table to the program would create it.
  if (::access("/proc/self/net/ip_tables_names", F_OK) == 0 &&
      !trim(read_file("/proc/self/net/ip_tables_names")).empty())
    rules.iptables_legacy = saved_by("iptables-legacy-save", rules, deadline);
  const auto chains = netlink::nft_chains();
  if (std::ranges::any_of(chains, is_of_iptables_nft))
    rules.iptables_nft = saved_by("iptables-nft-save", rules, deadline);
  try {
    rules.nft = NftContext().run("list ruleset");
    rules.hooks = netlink::nft_hooks();
  } catch (const Error& error) {
    if (error.code() == Errc::not_authorised || error.code() == Errc::timed_out) throw;
    if (!chains.empty()) rules.unseen = error.what();  // without a chain there is nothing to read
  }
  return rules;
}

bool bridge_calls_iptables() {
  return trim(try_read_file("/proc/sys/net/bridge/bridge-nf-call-iptables").value_or("")) == "1";
}

std::optional<Drop> find_drop(const RulesText& rules, const Passage& passage) {
  auto drops = iptables_drops(rules.iptables_legacy, "iptables-legacy", passage);
  const auto add = [&](std::vector<PlacedDrop> more) {
    drops.insert(drops.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  add(iptables_drops(rules.iptables_nft, "iptables-nft", passage));
  if (!rules.nft.empty()) add(nft_drops(rules.nft, rules.hooks, rules.iptables_nft, passage));
  std::ranges::stable_sort(drops, {},
                           [](const PlacedDrop& one) { return std::pair(one.place, one.priority); });
  const auto certain = std::ranges::find_if(drops, [](const PlacedDrop& one) { return one.drop.certain; });
  if (certain != drops.end()) return certain->drop;
  return drops.empty() ? std::nullopt : std::optional(drops.front().drop);
}

}  // namespace hostnet::firewall
