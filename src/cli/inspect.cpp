// `tc-hostnet inspect`: shows one lease in full, its rules, and whether the kernel has them.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/layout.hpp"
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"
#include "path/native/dry_run.hpp"
#include "path/native/native.hpp"

#include <fmt/format.h>

#include <memory>

namespace hostnet::cli {
namespace {

std::vector<std::string> rules_of(const state::Lease& lease, const state::Snapshot& held) {
  std::vector<std::string> out;
  state::Snapshot alone{held.bridges, {lease}};
  for (const auto& plan : exposer::ruleset_of(alone).tables) {
    if (held.firewall == Firewall::nftables) {
      const auto text = to_text(held.firewall, plan);
      for (const auto line : split(text, '\n'))
        if (line.starts_with("add element") || line.starts_with("  \"")) out.emplace_back(line);
      continue;
    }
    for (const auto& rule : plan.rules)
      out.push_back(fmt::format("-t {} -A {} {}", to_string(plan.table), plan.chain, to_iptables(rule)));
  }
  return out;
}

std::string traffic_text(const state::Lease& lease, const std::vector<exposer::PortTraffic>& traffic) {
  std::string out;
  for (std::size_t i = 0; i < traffic.size(); ++i)
    if (traffic[i].packets > 0)
      out +=
          fmt::format("{}{} by {}", out.empty() ? "" : ", ", traffic[i].packets, lease.ports[i].to_string());
  return out.empty() ? "none so far" : out;
}

Text pinned_text(const state::Lease& lease) {
  if (const auto why = why_unpinned(lease); !why.empty()) return paint(Tone::doubtful, "unpinned: " + why);
  return lease.port.empty() ? "not needed: every address on the bridge may use it" : "to port " + lease.port;
}

json::Value with_traffic(json::Value lease, const std::vector<exposer::PortTraffic>& traffic) {
  for (std::size_t i = 0; i < traffic.size(); ++i) lease["ports"][i]["connections"] = traffic[i].packets;
  return lease;
}

void print_text(const state::Lease& lease, const state::Snapshot& held,
                const std::vector<exposer::PortTraffic>& traffic,
                const std::vector<std::string>& differences) {
  std::string sources;
  for (const auto source : lease.sources) sources += (sources.empty() ? "" : ", ") + source.to_string();
  if (lease.mac) sources += (sources.empty() ? "" : ", ") + lease.mac->to_string();
  std::string gateways;
  for (const auto gateway : lease.gateways) gateways += (gateways.empty() ? "" : ", ") + gateway.to_string();
  std::vector<Row> rows{
      {"lease", lease.id},
      {"target", lease.target},
      {"ports", ports_text(lease.ports)},
      {"interface", exposer::interface_of(lease, held)},
      {"gateways", gateways},
      {"sources", sources.empty() ? "every address on the bridge" : sources},
      {"pinned", pinned_text(lease)},
      {"connections", traffic_text(lease, traffic)},
      {"firewall", to_string(held.firewall)},
      {"alias in", fmt::format("{} containers", lease.aliases.size())},
      {"owner", fmt::format("{} (pid {}, uid {})", lease.owner.command, lease.owner.pid, lease.owner.uid)},
      {"label", lease.label},
      {"intact", differences.empty() ? paint(Tone::good, "yes") : paint(Tone::bad, join(differences, "; "))}};
  const auto width = output_width();
  print(pairs(rows, width));
  for (const auto& rule : rules_of(lease, held)) print(hang("  ", paint(Tone::faint, rule), 4, width));
}

}  // namespace

Action define_inspect(Arguments& arguments) {
  const auto id = std::make_shared<std::string>();
  arguments.value("LEASE", *id, "the lease's id, or a unique prefix of it", Need::required);
  arguments.example("sudo tc-hostnet inspect 1a2b3c4d");
  return [id](const Globals& globals) {
    const state::TunnelStore record_store(globals.runtime_dir);
    const auto recorded = look_at_records(record_store, globals);
    if (const auto* const lease = find_by_id(recorded, *id, RecordId{})) {
      if (globals.json)
        print_json(to_json(*lease));
      else
        print(pairs(rows_of(*lease), output_width()));
      return 0;
    }
    const auto helped = look_at_helper();
    if (const auto* const lease = find_by_id(helped, *id)) {
      if (globals.json)
        print_json(to_json(*lease));
      else
        print(pairs(rows_of(*lease), output_width()));
      return 0;
    }
    auto store = open_store(globals);
    const auto readable = look_if_readable(store, globals);
    if (!readable) throw_not_ours(*id, "inspect");
    const auto& held = *readable;
    std::vector<std::string> others;
    for (const auto& [driver, record] : recorded) others.push_back(record.id);
    for (const auto& lease : helped) others.push_back(lease.id);
    const auto& lease = find_lease(held, *id, others);
    const auto differences = deviations(held);
    const auto* const bridge = held.bridge(lease.ifindex);
    const auto traffic = exposer::traffic_of(lease, bridge == nullptr ? "" : bridge->name);
    if (globals.json) {
      auto object = with_traffic(exposer::lease_to_json(lease, held), traffic);
      object["firewall"] = to_string(held.firewall);
      object["intact"] = differences.empty();
      object["amiss"] = differences;
      object["rules"] = rules_of(lease, held);
      print_json(std::move(object));
    } else {
      print_text(lease, held, traffic, differences);
    }
    return 0;
  };
}

}  // namespace hostnet::cli
