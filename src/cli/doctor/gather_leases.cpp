// Reads the journal, the kernel state of its leases, and the alias in a container. gather() combines all
// facts.
#include "cli/doctor/gather.hpp"
#include "cli/held.hpp"
#include "cli/helper_view.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "lease/journal.hpp"
#include "lease/owner.hpp"
#include "netlink/link.hpp"
#include "path/clear_away.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/native.hpp"
#include "path/native/transition.hpp"
#include "path/paths.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace hostnet::cli::doctor {
namespace {

constexpr std::chrono::seconds kEngineSpan{2};

bool is_dead(const std::filesystem::path& folder, const state::Lease& lease) {
  return lease.releasing || (lease.expires && *lease.expires <= std::time(nullptr)) ||
         !state::is_alive(folder, lease.owner);
}

std::optional<RequestFacts> gather_request(const std::optional<Target>& target,
                                           const std::vector<HostPort>& ports, const EngineFacts& engine,
                                           const Globals& globals) {
  if (!target || ports.empty() || (engine.needed && !engine.answers)) return std::nullopt;
  if (engine.needed && engine.address->ssh)
    return std::nullopt;  // the request would be one for the native path
  // require_listener turns a missing listener into an error, not a log line; the listener check reports it.
  const ExposeRequest request{.target = *target, .ports = ports, .require_listener = true};
  const auto prepared = see(
      [&] { return exposer::prepare(std::span(&request, 1), globals.engine, Deadline::after(kEngineSpan)); });
  return RequestFacts{prepared.error};
}

}  // namespace

StateFacts gather_state(const std::string& runtime_dir) {
  const auto folder = state::namespace_dir(state::runtime_dir(runtime_dir));
  StateFacts facts{.folder = folder.string()};
  facts.held = see([&] {
    auto held = state::peek(folder);
    for (const auto& lease : held.leases)
      if (is_dead(folder, lease)) facts.dead.push_back(lease.id);
    return held;
  });
  if (!facts.held) return facts;
  facts.deviations = see([&] { return deviations(*facts.held); });
  return facts;
}

std::vector<std::string> gather_other_leases(const std::string& runtime_dir) {
  std::vector<std::string> out;
  for (const auto& lease : look_at_helper())
    out.push_back(fmt::format("{} by helper for {}", lease.id,
                              lease.label.empty() ? "bridge " + lease.interface : lease.label));
  if (const auto recorded = see(
          [&] { return exposer::recorded_leases(exposer::paths(), state::TunnelStore(runtime_dir).load()); }))
    for (const auto& [driver, record] : *recorded)
      out.push_back(fmt::format("{} by {} for {}", record.id, driver->name, record.target));
  return out;
}

RouteLocalnetFacts gather_route_localnet() {
  RouteLocalnetFacts facts;
  facts.open = see([] {
    std::vector<std::string> out;
    for (const auto& link : netlink::Rtnl().links())
      if (link.route_localnet && link.name != "lo") out.push_back(link.name);
    return out;
  });
  facts.all = trim(try_read_file("/proc/sys/net/ipv4/conf/all/route_localnet").value_or("")) == "1";
  facts.guarded = see([] {
    // Fails without root, where guarded_bridges() would return an empty list, which would be wrong.
    if (::access("/proc/self/net/ip_tables_names", F_OK) == 0) read_file("/proc/self/net/ip_tables_names");
    return firewall::guarded_bridges();
  });
  return facts;
}

AliasFacts gather_alias(const Target& container, const EngineFacts& engine, const StateFacts& state,
                        const std::vector<BridgeFacts>& bridges) {
  AliasFacts facts{.container = container.name()};
  facts.podman = engine.podman;
  for (const auto& bridge : bridges)
    if (bridge.resolved) facts.gateways = bridge.resolved->gateways;
  const auto found = see([&] {
    return engine::Client(*engine.address).container(container.name(), Deadline::after(kEngineSpan));
  });
  if (!found) {
    facts.hosts.error = found.error;
    return facts;
  }
  facts.container = found->name;
  facts.by_extra_host = std::ranges::any_of(found->extra_hosts, [](const std::string& entry) {
    return entry.starts_with(std::string(kAlias) + ":");
  });
  if (state.held)
    for (const auto& lease : state.held->leases) {
      facts.leases.push_back(lease.id);
      if (std::ranges::find(lease.aliases, found->id, &engine::AliasRecord::container) != lease.aliases.end())
        facts.promised = lease.id;
    }
  facts.hosts = see([&] {
    if (engine.remote.empty()) return engine::read_hosts_outside(engine::alias_record(*found));
    throw Error(Errc::no_path, fmt::format("the engine at {}, {}: doctor does not open files that it names",
                                           engine.address->socket, engine.remote));
  });
  return facts;
}

Facts gather(const std::optional<Target>& target, const std::vector<HostPort>& ports,
             const Globals& globals) {
  Facts facts;
  facts.kernel = gather_kernel();
  facts.privilege = gather_privilege();
  facts.backend = gather_backend();
  facts.lock = gather_lock();
  facts.engine = gather_engine(target, globals.engine);
  facts.bridges = gather_bridges(target, facts.engine, globals.engine);
  facts.input = gather_input(facts.bridges, ports);
  for (const auto& port : ports) facts.listeners.push_back(gather_listener(port, facts.engine, target));
  facts.state = gather_state(globals.runtime_dir);
  facts.state.others = gather_other_leases(globals.runtime_dir);
  if (facts.state.held && !facts.state.held->leases.empty())
    facts.backend.choice = {exposer::firewall_of_leases(facts.state.held->firewall), std::nullopt};
  facts.route_localnet = gather_route_localnet();
  // A container without a bridge to the host cannot use the alias.
  const bool reachable =
      std::ranges::any_of(facts.bridges, [](const auto& bridge) { return bool(bridge.resolved); });
  if (target && target->kind() == Target::Kind::container && reachable)
    facts.alias = gather_alias(*target, facts.engine, facts.state, facts.bridges);
  facts.path = exposer::choose({}, exposer::probe_paths(exposer::paths(), globals.engine));
  if (facts.path.driver == &exposer::kNativePath)
    facts.request = gather_request(target, ports, facts.engine, globals);
  return facts;
}

}  // namespace hostnet::cli::doctor
