// `tc-hostnet status`: shows an overview of what is in effect on this host.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "cli/layout.hpp"
#include "cli/listing.hpp"
#include "cli/output.hpp"
#include "cli/record_view.hpp"
#include "core/join.hpp"
#include "engine/address.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"
#include "path/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace hostnet::cli {
namespace {

struct BridgeStatus {
  std::string name;
  bool route_localnet = false;
  bool prior = false;
  bool guarded = false;
  std::size_t leases = 0;
  std::uint64_t connections = 0;  ///< Through its forwards, since each was opened.
};

std::vector<BridgeStatus> bridges_of(exposer::LeaseStore& store, const state::Snapshot& held) {
  std::vector<BridgeStatus> out;
  if (held.bridges.empty()) return out;
  const auto traffic = firewall::read_traffic();
  const auto guarded = firewall::guarded_bridges();
  for (const auto& bridge : held.bridges) {
    const auto link = store.executor().rtnl().link(bridge.ifindex);
    out.push_back({.name = bridge.name,
                   .route_localnet = link && link->route_localnet,
                   .prior = bridge.prior_route_localnet,
                   .guarded = std::ranges::find(guarded, bridge.name) != guarded.end(),
                   .leases = static_cast<std::size_t>(
                       std::ranges::count(held.leases, bridge.ifindex, &state::Lease::ifindex))});
    for (const auto& forward : traffic)
      if (forward.forward.bridge == bridge.name) out.back().connections += forward.packets;
  }
  return out;
}

// Leases for one container whose address a neighbour could spoof, each with the reason.
std::vector<std::pair<std::string, std::string>> unpinned_of(const state::Snapshot& held,
                                                             const std::vector<dbus::LeaseFacts>& helped) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& lease : held.leases)
    if (auto why = why_unpinned(lease); !why.empty()) out.emplace_back(lease.id, std::move(why));
  for (const auto& lease : helped)
    if (!lease.unpinned.empty()) out.emplace_back(lease.id, lease.unpinned);
  return out;
}

// The engine that a command with these options and this environment would use. No call is made to it.
struct EngineInUse {
  std::optional<engine::Address> address;
  std::string text;
};

EngineInUse engine_in_use(const std::string& wanted) {
  try {
    const auto found = engine::Address::find(wanted);
    return {found, fmt::format("{} ({})", found.socket, found.from)};
  } catch (const Error& error) {
    return {std::nullopt, fmt::format("none ({})", error.what())};
  }
}

json::Value engine_to_json(const EngineInUse& engine) {
  if (!engine.address) return {};
  return {{"address", engine.address->socket}, {"from", engine.address->from}};
}

}  // namespace

Action define_status(Arguments& arguments) {
  arguments.footer("Exits with code 0 even when there is no lease.");
  arguments.example("sudo tc-hostnet status");
  return [](const Globals& globals) {
    auto store = open_store(globals);
    const auto choice = exposer::choose({}, exposer::probe_paths(exposer::paths(), globals.engine));
    const auto [readable, helped, recorded] = look_at_kinds(store, globals);
    const auto held = readable.value_or(state::Snapshot{});
    const auto leases = held.leases.size() + helped.size() + recorded.size();
    const auto bridges = bridges_of(store, held);
    // Shows the firewall of the leases that exist, even if the caller prefers another one.
    const auto firewall =
        held.leases.empty() ? store.firewall_for(held) : exposer::firewall_of_leases(held.firewall);
    const auto engine = engine_in_use(globals.engine);
    const std::string path = choice.driver != nullptr ? choice.driver->name : "none";
    if (globals.json) {
      auto list = json::array();
      for (const auto& bridge : bridges)
        list.push_back({{"name", bridge.name},
                        {"route_localnet", bridge.route_localnet},
                        {"prior_route_localnet", bridge.prior},
                        {"guarded", bridge.guarded},
                        {"connections", bridge.connections},
                        {"leases", bridge.leases}});
      auto unpinned = json::array();
      for (const auto& [lease, why] : unpinned_of(held, helped))
        unpinned.push_back({{"lease", lease}, {"reason", why}});
      auto helper_list = json::array();
      for (const auto& lease : helped) helper_list.push_back(to_json(lease));
      auto record_list = json::array();
      for (const auto& lease : recorded) record_list.push_back(to_json(lease));
      print_json({{"version", version()},
                  {"via", choice.driver != nullptr ? std::optional(path) : std::nullopt},
                  {"reasons", choice.reasons},
                  {"engine", engine_to_json(engine)},
                  {"firewall", to_string(firewall.kind)},
                  {"state_folder", store.folder().string()},
                  {"leases", leases},
                  {"hides_roots_leases", !readable},
                  {"bridges", std::move(list)},
                  {"unpinned", std::move(unpinned)},
                  {"helper", std::move(helper_list)},
                  {"tunnels", std::move(record_list)}});
      return 0;
    }
    const auto width = output_width();
    print(pairs({{"version", version()},
                 {"path", fmt::format("{} ({})", path, join(choice.reasons, "; "))},
                 {"engine", engine.text},
                 {"firewall", fmt::format("{} ({})", to_string(firewall.kind), firewall.reason)},
                 {"state", store.folder().string()},
                 {"leases", fmt::format("{}", leases)}},
                width));
    const auto detail = [&](const Text& line) { print(hang("  ", line, 4, width)); };
    for (const auto& bridge : bridges)
      detail(fmt::format("{}: {} leases, route_localnet {} (was {}), guard ", bridge.name, bridge.leases,
                         bridge.route_localnet ? 1 : 0, bridge.prior ? 1 : 0) +
             (bridge.guarded ? paint(Tone::good, "in place") : paint(Tone::bad, "missing")) +
             fmt::format(", {} connections so far", bridge.connections));
    for (const auto& [lease, why] : unpinned_of(held, helped))
      detail(fmt::format("{}: ", lease) + paint(Tone::doubtful, "unpinned") + fmt::format(": {}", why));
    for (const auto& lease : helped)
      detail(fmt::format("{} on {}: {}, by the helper", lease.id, lease.interface, lease.state));
    for (const auto& lease : recorded)
      detail(fmt::format("{} on {}: {}", lease.record.id, lease.record.network, state_of(lease)));
    if (!readable) say_hidden("status");
    return 0;
  };
}

}  // namespace hostnet::cli
