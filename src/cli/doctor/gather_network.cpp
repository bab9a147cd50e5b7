// Reads the engine, the bridges of its networks, and the firewalls on INPUT.
#include "cli/doctor/gather.hpp"
#include "cli/doctor/later.hpp"
#include "core/fd.hpp"
#include "core/loopback.hpp"
#include "firewall/iptables.hpp"
#include "netlink/link.hpp"

#include <fmt/format.h>

#include <libiptc/libiptc.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <cstring>

namespace hostnet::cli::doctor {
namespace {

// Not 2 s: a rootless Podman runs dpkg to find the packages of its programs before it reports its version.
Deadline engine_deadline() { return Deadline::after(std::chrono::seconds{5}); }

// Docker gathers the answer to GET /info from its storage and plugins, and Podman starts programs for it: either
// may take seconds. The walk does without rather than wait that long; the full check waits for the version, too.
constexpr std::chrono::milliseconds kInfoSpanOfWalk{1200};

constexpr std::chrono::milliseconds kRulesSpan{1500};

// Those who may dial through a bridge: one container, or all on the subnet of its first gateway.
firewall::Prefix sources_of(const exposer::Resolved& resolved) {
  if (resolved.sources.size() == 1) return {resolved.sources.front(), 32};
  const auto addresses = see([&] { return netlink::Rtnl().addresses(resolved.bridge.ifindex); });
  if (addresses)
    for (const auto& address : *addresses)
      if (!resolved.gateways.empty() && address.address == resolved.gateways.front())
        return {address.address, address.prefix};
  return {{}, 0};
}

// Every bridge network. Stops at the first timeout, because the next call would time out, too.
std::vector<BridgeFacts> bridges_of_engine(const engine::Address& address, exposer::Resolver& resolver,
                                           netlink::Rtnl& rtnl) {
  const auto networks = see([&] { return engine::Client(address).networks(engine_deadline()); });
  if (!networks) return {{.whose = "the engine's networks", .resolved = {std::nullopt, networks.error}}};
  std::vector<BridgeFacts> out;
  for (const auto& network : *networks) {
    if (network.driver != "bridge") continue;
    out.push_back({.whose = fmt::format("network {}", network.name),
                   .interface = network.bridge,
                   .here = rtnl.link(network.bridge).has_value()});
    auto& resolved = out.back().resolved;
    const auto target = Target::network(network.id.empty() ? network.name : network.id);
    resolved = see([&] { return resolver.resolve(target, false, false, engine_deadline()); });
    if (resolved.error && resolved.error->code() == Errc::timed_out) break;
  }
  return out;
}

std::vector<BridgeFacts> bridges_here(exposer::Resolver& resolver, netlink::Rtnl& rtnl) {
  std::vector<BridgeFacts> out;
  for (const auto& link : rtnl.links()) {
    if (link.kind != "bridge") continue;
    out.push_back({.whose = fmt::format("bridge {}", link.name), .interface = link.name});
    out.back().resolved =
        see([&] { return resolver.resolve(Target::bridge(link.name), false, false, engine_deadline()); });
  }
  return out;
}

// Checks for the table first, because libiptc would create a missing one.
std::optional<bool> legacy_input_drops() {
  if (!firewall::table_exists(firewall::Table::filter)) return std::nullopt;
  const unique_handle<xtc_handle, iptc_free> handle(iptc_init("filter"));
  if (!handle) return std::nullopt;
  ipt_counters counters{};
  const char* const policy = iptc_get_policy("INPUT", &counters, handle.get());
  if (policy == nullptr) return std::nullopt;
  return std::strcmp(policy, "DROP") == 0;
}

// The rules that drop connections by a bridge, if its chains' policies let them in. Without a port, only what
// drops any.
void add_drops(InputFacts& facts, const std::vector<BridgeFacts>& bridges,
               const std::vector<HostPort>& ports) {
  const auto rules = see([] { return firewall::read_rules(Deadline::after(kRulesSpan)); });
  facts.unread = rules ? rules->unseen : rules.error->what();
  if (!rules) return;
  for (const auto& bridge : bridges) {
    if (!bridge.resolved || bridge.resolved->gateways.empty()) continue;
    const auto& name = bridge.resolved->bridge.name;
    if (std::ranges::any_of(facts.blocked, [&](const auto& blocked) { return blocked.first == name; }))
      continue;
    firewall::Passage passage{.bridge = name,
                              .port = bridge.resolved->port.name,
                              .source = sources_of(*bridge.resolved),
                              .dialled = bridge.resolved->gateways.front(),
                              .bridge_calls_iptables = firewall::bridge_calls_iptables()};
    const auto look = [&](bool any_port) {
      const auto drop = see([&] { return firewall::find_drop(*rules, passage); });
      if (!drop) facts.unread = drop.error->what();
      if (!drop || !drop.value->has_value()) return;
      const auto& found = **drop.value;
      if (!found.before_ours && (found.certain || !any_port)) facts.drops.emplace_back(name, found);
    };
    if (ports.empty()) look(true);
    for (const auto& port : ports) {
      passage.dialled_port = port.container;
      passage.host_port = port.host;
      passage.service = ipv4_of(port).value_or(kLoopback);
      passage.protocol = port.protocol;
      look(false);
    }
  }
}

}  // namespace

EngineFacts gather_engine(const std::optional<Target>& target, const std::string& engine, bool with_version) {
  EngineFacts facts;
  facts.needed =
      target && (target->kind() == Target::Kind::container || target->kind() == Target::Kind::network);
  facts.address = see([&] { return engine::Address::find(engine); });
  if (!facts.address) return facts;
  facts.answers = see([&] {
    engine::Client client(*facts.address);
    client.ping(engine_deadline());
    facts.podman = client.is_podman(engine_deadline());
    facts.remote = see([&] {
                     return client.why_remote(engine_deadline()).value_or("");
                   }).value.value_or("whose user is unknown");
    return true;
  });
  if (!facts.answers) return facts;
  const auto address = *facts.address;
  const auto info_deadline = with_version ? engine_deadline() : Deadline::after(kInfoSpanOfWalk);
  Later rootless([address, info_deadline] {
    return see([&] { return engine::Client(address).is_rootless(info_deadline); });
  });
  if (with_version) facts.version = see([&] { return engine::Client(address).version(engine_deadline()); });
  const auto told = rootless.get();
  facts.rootless = told.value.value_or(false);
  if (!told) facts.rootless_unknown = told.error->what();
  return facts;
}

std::vector<BridgeFacts> gather_bridges(const std::optional<Target>& target, const EngineFacts& engine,
                                        const std::string& explicit_engine) {
  netlink::Rtnl rtnl;
  exposer::Resolver resolver(rtnl, explicit_engine);
  if (!target) {
    // Bridges of a remote engine, or of one at another user's socket, may not be on this machine.
    if (engine.answers && engine.remote.empty()) return bridges_of_engine(*engine.address, resolver, rtnl);
    return bridges_here(resolver, rtnl);
  }
  if (engine.needed && !engine.answers) return {};  // the engine check says why
  BridgeFacts facts{.whose = target->to_string(), .asked = true};
  if (target->kind() == Target::Kind::bridge) facts.interface = target->name();
  facts.resolved = see([&] { return resolver.resolve(*target, false, false, engine_deadline()); });
  return {facts};
}

InputFacts gather_input(const std::vector<BridgeFacts>& bridges, const std::vector<HostPort>& ports) {
  InputFacts facts;
  facts.nft_programs =
      !find_program("iptables-nft-save").empty() && !find_program("iptables-nft-restore").empty();
  facts.legacy_drop = legacy_input_drops();
  facts.chains = see(netlink::nft_chains);
  if (!facts.chains) return facts;

  std::vector<std::string> names;
  for (const auto& bridge : bridges)
    if (bridge.resolved && std::ranges::find(names, bridge.resolved->bridge.name) == names.end())
      names.push_back(bridge.resolved->bridge.name);
  // Without a known bridge, the remedy shows a placeholder.
  if (names.empty()) names.emplace_back("BRIDGE");
  for (const auto& name : names) {
    try {
      if (auto blocker = firewall::find_blocker(*facts.chains, netlink::nft_rules, name))
        facts.blocked.emplace_back(name, std::move(*blocker));
    } catch (const Error& error) {
      facts.unreadable = error.what();
    }
  }
  add_drops(facts, bridges, ports);
  return facts;
}

}  // namespace hostnet::cli::doctor
