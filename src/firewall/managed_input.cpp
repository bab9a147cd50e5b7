// Edits the INPUT chain of iptables-nft.
#include "firewall/managed_input.hpp"

#include "core/process.hpp"
#include "core/strings.hpp"
#include "firewall/input_check.hpp"
#include "firewall/xtables_lock.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::firewall {
namespace {

std::string run(const std::vector<std::string>& command, std::string_view input, Deadline deadline) {
  try {
    auto result = run_process(command, input, deadline);
    if (result.exit_code == 0) return std::move(result.output);
    throw Error(Errc::failure, fmt::format("{} failed: {}", command.front(), trim(result.errors)));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::no_path,
                fmt::format("iptables-nft manages INPUT, but {} is not installed", command.front()),
                "install it: apt-get install iptables");
  }
}

bool concerns_us(const std::vector<netlink::NftChain>& chains, const TablePlan& plan) {
  const auto ours = std::ranges::any_of(chains, [&](const auto& chain) {
    return chain.family == "ip" && chain.table == "filter" && chain.name == plan.chain;
  });
  if (ours) return true;  // to update or to remove
  const auto input = std::ranges::find_if(chains, is_iptables_nft_input);
  return !plan.empty() && input != chains.end() && (input->drop_policy || input->use > 0);
}

}  // namespace

std::optional<std::string> restore_script(const TablePlan& input, std::string_view saved) {
  const std::string in_hook = fmt::format("-A {} ", input.hook);
  const std::string in_chain = fmt::format("-A {} ", input.chain);
  const std::string to_chain = fmt::format("-j {}", input.chain);
  bool chain_present = false;
  std::vector<std::string> jumps;
  std::vector<std::string> rules;
  for (const auto line : split(saved, '\n')) {
    if (line.starts_with(fmt::format(":{} ", input.chain))) chain_present = true;
    if (line.starts_with(in_hook) && line.ends_with(to_chain))
      jumps.emplace_back(line.substr(in_hook.size()));
    if (line.starts_with(in_chain)) rules.emplace_back(line.substr(in_chain.size()));
  }
  const auto text_of = [](const std::vector<Rule>& planned) {
    std::vector<std::string> out;
    std::ranges::transform(planned, std::back_inserter(out), to_iptables);
    return out;
  };
  const auto wanted_jumps = text_of(input.jumps);
  const auto wanted_rules = text_of(input.rules);
  if (chain_present == !input.empty() && rules == wanted_rules &&
      std::ranges::is_permutation(jumps, wanted_jumps))
    return std::nullopt;

  // Declaring a user chain empties it, even with --noflush.
  std::string script = fmt::format("*filter\n:{} - [0:0]\n", input.chain);
  for (const auto& rule : wanted_rules) script += fmt::format("-A {} {}\n", input.chain, rule);
  for (const auto& jump : jumps) script += fmt::format("-D {} {}\n", input.hook, jump);
  for (const auto& jump : wanted_jumps) script += fmt::format("-I {} 1 {}\n", input.hook, jump);
  if (input.empty()) script += fmt::format("-X {}\n", input.chain);
  return script + "COMMIT\n";
}

bool apply_managed_input(const TablePlan& input, Deadline deadline) {
  if (!concerns_us(netlink::nft_chains(), input)) return false;
  const auto change = [&] {
    return restore_script(input, run({"iptables-nft-save", "-t", "filter"}, {}, deadline));
  };
  auto lock = XtablesLock::if_free();
  if (!lock && !change()) return false;
  if (!lock) lock.emplace(deadline);
  const auto script = change();
  if (!script) return false;
  run({"iptables-nft-restore", "--noflush"}, *script, deadline);
  return true;
}

}  // namespace hostnet::firewall
