// The plan of a lease in words, as rules, and as JSON.
#include "path/native/dry_run.hpp"

#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "lease/port_json.hpp"
#include "lease/runtime_dir.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/native.hpp"
#include "path/native/transition.hpp"

#include <fmt/format.h>

#include <chrono>
#include <span>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kDryRunSpan{30};

// The firewall that would hold the rules. A caller that may not read the leases gets the choice for an empty
// lease store.
firewall::FirewallChoice firewall_for(const ExposerOptions& options) {
  LeaseStore store(state::runtime_dir(options.runtime_dir), options.firewall);
  state::Snapshot held;
  try {
    held = store.peek();
  } catch (const Error& error) {
    if (error.code() != Errc::not_authorised) throw;
  }
  return store.firewall_for(held);
}

void add_listing(std::vector<std::string>& lines, const std::string& listing) {
  for (const auto line : split(listing, '\n')) lines.emplace_back(line);
}

json::Value texts_of(const std::vector<Ipv4>& addresses) {
  auto out = json::array();
  for (const auto address : addresses) out.push_back(address.to_string());
  return out;
}

// Only the steps that change something.
std::vector<Step> steps_to(const state::Snapshot& wanted) {
  auto steps = transition({}, wanted);
  std::erase_if(steps, [](const Step& step) {
    const auto* const bindings = std::get_if<ApplyBindings>(&step);
    return bindings != nullptr && bindings->plan.empty();
  });
  return steps;
}

json::Value plan_to_json(const state::Snapshot& wanted, const std::vector<Step>& steps,
                         const Around& around) {
  auto rules = json::object();
  for (const auto& plan : ruleset_of(wanted).tables)
    rules[to_string(plan.table)] = to_text(wanted.firewall, plan);
  if (const auto bindings = bindings_of(wanted); !bindings.empty())
    rules["pins"] = firewall::nft::bindings_to_nft(bindings);
  auto list = json::array();
  if (!around.first.empty()) list.push_back(around.first);
  for (const auto& step : steps) list.push_back(describe(step));
  if (!around.last.empty()) list.push_back(around.last);
  return {{"via", kNativePath.name},
          {"firewall", to_string(wanted.firewall)},
          {"lease", lease_to_json(wanted.leases.front(), wanted)},
          {"steps", std::move(list)},
          {"rules", std::move(rules)}};
}

}  // namespace

DryRun native_dry_run(const ExposeRequest& request, const ExposerOptions& options) {
  auto prepared = prepare(std::span(&request, 1), options.engine, Deadline::after(kDryRunSpan),
                          Caller::command, options.runtime_dir);
  for (auto& lease : prepared.leases) lease.id = "dry-run";
  return dry_run_of({prepared.bridges, std::move(prepared.leases)}, options);
}

DryRun dry_run_of(state::Snapshot wanted, const ExposerOptions& options, const Around& around) {
  const auto choice = firewall_for(options);
  wanted.firewall = choice.kind;
  const auto steps = steps_to(wanted);
  DryRun out{.lines = {}, .object = plan_to_json(wanted, steps, around)};
  auto& lines = out.lines;
  lines.push_back(fmt::format("# {}: {}", to_string(choice.kind), choice.reason));
  if (!around.first.empty()) lines.push_back("# " + around.first);
  for (const auto& step : steps) {
    lines.push_back("# " + describe(step));
    if (const auto* const table = std::get_if<ApplyTable>(&step))
      add_listing(lines, to_text(choice.kind, table->plan));
    if (const auto* const bindings = std::get_if<ApplyBindings>(&step))
      add_listing(lines, firewall::nft::bindings_to_nft(bindings->plan));
  }
  const auto& lease = wanted.leases.front();
  for (const auto& alias : lease.aliases)
    lines.push_back(fmt::format("# write {} {} into the hosts file of container {}",
                                lease.gateways.front().to_string(), kAlias, engine::called(alias)));
  if (!around.last.empty()) lines.push_back("# " + around.last);
  return out;
}

json::Value lease_to_json(const state::Lease& lease, const state::Snapshot& snapshot) {
  auto containers = json::array();
  for (const auto& alias : lease.aliases) containers.push_back(alias.container);
  const auto why = why_unpinned(lease);
  return {{"id", lease.id},
          {"target", lease.target},
          {"via", to_string(path_of(lease))},
          {"state", to_string(ExposureState::active)},
          {"label", lease.label},
          {"interface", interface_of(lease, snapshot)},
          {"network", nullptr},
          {"ifindex", lease.ifindex},
          {"gateway", lease.gateways.front().to_string()},
          {"gateways", texts_of(lease.gateways)},
          {"sources", texts_of(lease.sources)},
          {"unpinned", why.empty() ? std::nullopt : std::optional(why)},
          {"mac", lease.mac ? std::optional(lease.mac->to_string()) : std::nullopt},
          {"ports", to_json(lease.ports)},
          {"alias_in", std::move(containers)},
          {"created", lease.created},
          {"expires", lease.expires},
          {"owner", {{"pid", lease.owner.pid}, {"uid", lease.owner.uid}, {"command", lease.owner.command}}}};
}

std::string interface_of(const state::Lease& lease, const state::Snapshot& snapshot) {
  const auto* const bridge = snapshot.bridge(lease.ifindex);
  return bridge == nullptr ? "?" : bridge->name;
}

}  // namespace hostnet::exposer
