// From leases to rules, and from rules to iptables(8) arguments.
#include "firewall/ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace hostnet::firewall {
namespace {

Verdict drop() { return {Verdict::Kind::drop, {}, {}}; }
Verdict jump(const char* chain) { return {Verdict::Kind::jump, chain, {}}; }

// The kernel DNATs an expected connection like its parent connection, without any forward for it, and the
// peer of the service writes the text that the conntrack helper reads.
Rule drop_of_expected() { return {.expected = true, .comment = "tc-hostnet:guard", .verdict = drop()}; }

std::string bridge_comment(const std::string& bridge) { return "tc-hostnet:" + bridge; }

TablePlan raw_guard(std::span<const Guard> guards) {
  TablePlan plan{Table::raw, "TCHN-RAW", "PREROUTING", {}, {}};
  for (const auto& guard : guards)
    plan.jumps.push_back(
        {.in = guard.bridge, .comment = bridge_comment(guard.bridge), .verdict = jump(plan.chain)});
  if (guards.empty()) return plan;
  plan.rules.push_back({.destination = kLoopbackNet, .comment = "tc-hostnet:guard", .verdict = drop()});
  plan.rules.push_back({.source = kLoopbackNet, .comment = "tc-hostnet:guard", .verdict = drop()});
  return plan;
}

TablePlan postrouting_guard(std::span<const Guard> guards) {
  TablePlan plan{Table::mangle, "TCHN-POST", "POSTROUTING", {}, {}};
  for (const auto& guard : guards)
    plan.jumps.push_back(
        {.out = guard.bridge, .comment = bridge_comment(guard.bridge), .verdict = jump(plan.chain)});
  if (guards.empty()) return plan;
  plan.rules.push_back(drop_of_expected());
  plan.rules.back().source = kLoopbackNet;
  plan.rules.push_back({.source = kLoopbackNet,
                        .dnat_state = DnatState{.negated = true, .original_destination = {}},
                        .comment = "tc-hostnet:guard",
                        .verdict = drop()});
  return plan;
}

TablePlan input_guard(std::span<const Guard> guards) {
  TablePlan plan{Table::filter, "TCHN-IN", "INPUT", {}, {}};
  if (!guards.empty()) plan.rules.push_back(drop_of_expected());
  for (const auto& guard : guards) {
    plan.jumps.push_back({.in = guard.bridge,
                          .destination = kLoopbackNet,
                          .comment = bridge_comment(guard.bridge),
                          .verdict = jump(plan.chain)});
    for (const auto gateway : guard.gateways)
      plan.rules.push_back({.in = guard.bridge,
                            .dnat_state = DnatState{.negated = false, .original_destination = gateway},
                            .comment = bridge_comment(guard.bridge),
                            .verdict = {Verdict::Kind::accept, {}, {}}});
  }
  if (guards.empty()) return plan;
  plan.rules.push_back(
      {.reply = true, .comment = "tc-hostnet:guard", .verdict = {Verdict::Kind::leave, {}, {}}});
  plan.rules.push_back({.comment = "tc-hostnet:guard", .verdict = drop()});
  return plan;
}

TablePlan dnat_forwards(std::span<const Guard> guards, std::span<const Forward> forwards) {
  TablePlan plan{Table::nat, "TCHN-PRE", "PREROUTING", {}, {}};
  if (forwards.empty()) return plan;
  for (const auto& guard : guards)
    for (const auto gateway : guard.gateways)
      plan.jumps.push_back({.in = guard.bridge,
                            .destination = Prefix{gateway, 32},
                            .comment = bridge_comment(guard.bridge),
                            .verdict = jump(plan.chain)});

  const auto key = [](const Forward& forward) {
    return std::tie(forward.bridge, forward.gateway, forward.source, forward.mac, forward.protocol,
                    forward.listen);
  };
  const auto hash = [](const Forward* forward) {
    const std::uint64_t source = forward->source ? forward->source->host : 0;
    return std::hash<std::uint64_t>{}(((source << 16 ^ forward->gateway.host) << 16 ^ forward->listen) * 2 +
                                      (forward->protocol == Protocol::udp ? 1U : 0U));
  };
  const auto equal = [&key](const Forward* a, const Forward* b) { return key(*a) == key(*b); };
  std::unordered_set<const Forward*, decltype(hash), decltype(equal)> seen(forwards.size(), hash, equal);
  plan.rules.reserve(forwards.size());
  const auto add = [&](const Forward& forward) {
    if (!seen.insert(&forward).second) return;
    plan.rules.push_back(
        {.in = forward.bridge,
         .source = forward.source ? std::optional(Prefix{*forward.source, 32}) : std::nullopt,
         .destination = Prefix{forward.gateway, 32},
         .source_mac = forward.mac,
         .protocol = forward.protocol,
         .destination_port = forward.listen,
         .comment = "tc-hostnet:" + forward.lease,
         .verdict = {Verdict::Kind::dnat, {}, {forward.service, forward.host}}});
  };
  for (const auto& [by_mac, by_source] :
       {std::pair(true, true), std::pair(false, true), std::pair(true, false), std::pair(false, false)})
    for (const auto& forward : forwards)
      if (forward.mac.has_value() == by_mac && forward.source.has_value() == by_source) add(forward);
  return plan;
}

std::string with_length(const Prefix& prefix) {
  return fmt::format("{}/{}", prefix.address.to_string(), prefix.length);
}

}  // namespace

const char* to_string(Table table) noexcept {
  constexpr std::array names{"raw", "mangle", "filter", "nat"};
  return names[static_cast<std::size_t>(table)];
}

Ruleset plan(std::span<const Guard> guards, std::span<const Forward> forwards) {
  std::vector<Guard> sorted(guards.begin(), guards.end());
  for (auto& guard : sorted) {
    std::ranges::sort(guard.gateways);
    guard.gateways.erase(std::unique(guard.gateways.begin(), guard.gateways.end()), guard.gateways.end());
  }
  std::ranges::sort(sorted);
  return {
      {raw_guard(sorted), postrouting_guard(sorted), input_guard(sorted), dnat_forwards(sorted, forwards)}};
}

std::string to_iptables(const Rule& rule) {
  std::string out;
  const auto add = [&out]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    if (!out.empty()) out += ' ';
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
  };
  if (rule.source) add("-s {}", with_length(*rule.source));
  if (rule.destination) add("-d {}", with_length(*rule.destination));
  if (!rule.in.empty()) add("-i {}", rule.in);
  if (!rule.out.empty()) add("-o {}", rule.out);
  if (rule.source_mac) add("-m mac --mac-source {}", rule.source_mac->to_string());
  if (rule.protocol) {
    const char* const name = to_string(*rule.protocol);
    add("-p {} -m {} --dport {}", name, name, rule.destination_port);
  }
  if (rule.dnat_state) {
    add("-m conntrack {}--ctstate DNAT", rule.dnat_state->negated ? "! " : "");
    if (const auto original = rule.dnat_state->original_destination)
      add("--ctorigdst {}", original->to_string());
  }
  if (rule.expected) add("-m conntrack --ctstatus EXPECTED");
  if (rule.reply) add("-m conntrack --ctdir REPLY");
  if (!rule.comment.empty()) add("-m comment --comment \"{}\"", rule.comment);
  switch (rule.verdict.kind) {
    case Verdict::Kind::drop:
      add("-j DROP");
      break;
    case Verdict::Kind::accept:
      add("-j ACCEPT");
      break;
    case Verdict::Kind::leave:
      add("-j RETURN");
      break;
    case Verdict::Kind::jump:
      add("-j {}", rule.verdict.chain);
      break;
    case Verdict::Kind::dnat:
      add("-j DNAT --to-destination {}", rule.verdict.to.to_string());
      break;
  }
  return out;
}

std::string to_iptables_restore(const TablePlan& plan) {
  std::string out = fmt::format("*{}\n:{} - [0:0]\n", to_string(plan.table), plan.chain);
  for (const auto& rule : plan.jumps) out += fmt::format("-A {} {}\n", plan.hook, to_iptables(rule));
  for (const auto& rule : plan.rules) out += fmt::format("-A {} {}\n", plan.chain, to_iptables(rule));
  return out + "COMMIT\n";
}

}  // namespace hostnet::firewall
