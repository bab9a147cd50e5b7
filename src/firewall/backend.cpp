// Chooses and makes a back end.
#include "firewall/backend.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/iptables.hpp"
#include "firewall/nftables.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <linux/netfilter.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace hostnet {

const char* to_string(Firewall firewall) noexcept {
  switch (firewall) {
    case Firewall::automatic:
      return "auto";
    case Firewall::nftables:
      return "nftables";
    case Firewall::iptables:
      return "iptables";
  }
  return "auto";
}

namespace firewall {
namespace {

class IptablesBackend : public Backend {
 public:
  [[nodiscard]] Firewall kind() const noexcept override { return Firewall::iptables; }
  bool apply(const TablePlan& plan, Deadline deadline) override { return iptables_.apply(plan, deadline); }
  bool matches(const TablePlan& plan) override { return iptables_.matches(plan); }
  bool change_forwards(const TablePlan&, const TablePlan&) override {
    throw Error(Errc::failure, "ip_tables can only be changed as whole tables");
  }

 private:
  Nftables& nftables() override { return nftables_; }

  Iptables iptables_;
  Nftables nftables_;
};

// An accept in nf_tables does not overrule a drop on INPUT in the legacy table. So when the legacy table
// decides anything, our accept must also stand there, first.
class NftablesBackend : public Backend {
 public:
  [[nodiscard]] Firewall kind() const noexcept override { return Firewall::nftables; }
  bool apply(const TablePlan& plan, Deadline deadline) override {
    bool changed = nftables_.apply(plan, deadline);
    if (concerns_legacy_input(plan) && iptables_.apply(plan, deadline)) changed = true;
    return changed;
  }
  bool matches(const TablePlan& plan) override {
    return nftables_.matches(plan) && (!concerns_legacy_input(plan) || iptables_.matches(plan));
  }
  [[nodiscard]] bool is_as_left() override { return nftables_.is_as_left(); }
  bool change_forwards(const TablePlan& from, const TablePlan& to) override {
    return nftables_.change_forwards(from, to);
  }

 private:
  Nftables& nftables() override { return nftables_; }
  static bool concerns_legacy_input(const TablePlan& plan) {
    return plan.table == Table::filter && Iptables::input_concerns(plan);
  }

  Nftables nftables_;
  Iptables iptables_;
};

// Also false when missing privilege hides the answer.
bool lacks_nf_tables() {
  try {
    netlink::NftTables();
    return false;
  } catch (const Error& error) {
    return error.code() == Errc::no_path;
  }
}

bool has_libnftables() {
  try {
    LibNftables::get();
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool has_our_nft_table(std::uint8_t family = NFPROTO_IPV4) {
  try {
    return netlink::NftTables().flags(nft::kTableName, family).has_value();
  } catch (const Error& error) {
    if (error.code() != Errc::no_path) throw;
    return false;
  }
}

}  // namespace

std::string Backend::binding_fault() {
  if (able_) return {};
  auto fault = nftables().binding_fault();
  able_ = fault.empty();
  return fault;
}

bool Backend::binding(const BindingPlan& plan, Deadline deadline) {
  if (unable_ && !plan.empty()) return false;
  try {
    return nftables().apply_bindings(plan, deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::no_path && error.code() != Errc::failure) throw;
    // Without nf_tables there is nothing to remove. Rethrow an error where bindings are possible.
    if (plan.empty() ? error.code() == Errc::failure : nftables().binding_fault().empty()) throw;
    if (!plan.empty()) {
      unable_ = true;
      log::warn("no anti-spoofing bindings: containers are identified by address, not by bridge port: {}",
                error.what());
    }
    return false;
  }
}

bool Backend::is_pinned(const BindingPlan& plan) {
  try {
    return nftables().bindings_match(plan) || (!plan.empty() && !nftables().binding_fault().empty());
  } catch (const Error& error) {
    if (error.code() != Errc::no_path) throw;
    return true;  // this kernel has no nf_tables
  }
}

std::unique_ptr<Backend> make_backend(Firewall kind) {
  if (kind == Firewall::nftables) return std::make_unique<NftablesBackend>();
  return std::make_unique<IptablesBackend>();
}

std::optional<Firewall> parse_firewall(std::string_view text) noexcept {
  for (const auto kind : {Firewall::automatic, Firewall::nftables, Firewall::iptables})
    if (text == to_string(kind)) return kind;
  return std::nullopt;
}

FirewallChoice choose(const FirewallFacts& facts) {
  if (!facts.nf_tables) return {Firewall::iptables, "this kernel has no nf_tables"};
  if (facts.legacy_nat) return {Firewall::iptables, "the legacy table nat is in use here"};
  if (!facts.libnftables) return {Firewall::iptables, "libnftables is not installed"};
  return {Firewall::nftables, "the kernel has nf_tables, and no legacy table nat is in use"};
}

Firewall wish(Firewall wanted) {
  constexpr const char* kVariable = "TC_HOSTNET_FIREWALL";
  const char* const text = std::getenv(kVariable);
  if (wanted != Firewall::automatic || text == nullptr || *text == '\0') return wanted;
  const auto parsed = parse_firewall(text);
  if (!parsed)
    throw Error(Errc::invalid_argument,
                fmt::format("{} is {}, which is not a known firewall", kVariable, quote(text)),
                "set it to auto, nftables or iptables");
  return *parsed;
}

FirewallChoice choose(Firewall wanted) {
  const auto wished = wish(wanted);
  if (wished != Firewall::automatic) return {wished, "it was asked for"};
  FirewallFacts facts{.nf_tables = !lacks_nf_tables(), .legacy_nat = table_exists(Table::nat)};
  facts.libnftables = facts.nf_tables && !facts.legacy_nat && has_libnftables();
  return choose(facts);
}

std::vector<Firewall> in_use() {
  std::vector<Firewall> out;
  if (has_our_nft_table() || has_our_nft_table(NFPROTO_BRIDGE)) out.push_back(Firewall::nftables);
  if (std::ranges::any_of(kTables, table_exists)) out.push_back(Firewall::iptables);
  return out;
}

std::vector<std::string> guarded_bridges() {
  auto bridges = Iptables::guarded_bridges();
  if (has_our_nft_table()) std::ranges::copy(Nftables().guarded_bridges(), std::back_inserter(bridges));
  std::ranges::sort(bridges);
  bridges.erase(std::unique(bridges.begin(), bridges.end()), bridges.end());
  return bridges;
}

std::vector<ForwardTraffic> read_traffic() {
  auto forwards = read_legacy_traffic();
  if (has_our_nft_table()) std::ranges::move(Nftables().read_traffic(), std::back_inserter(forwards));
  return forwards;
}

std::string to_text(Firewall kind, const TablePlan& plan) {
  return kind == Firewall::nftables ? nft::to_nft(plan) : to_iptables_restore(plan);
}

}  // namespace firewall
}  // namespace hostnet
