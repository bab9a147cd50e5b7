// The engine, the bridges of its networks, and who guards INPUT.
#include "cli/doctor/gather.hpp"
#include "core/fd.hpp"
#include "firewall/iptables.hpp"
#include "netlink/link.hpp"

#include <fmt/format.h>

#include <libiptc/libiptc.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <cstring>

namespace hostnet::cli::doctor {
namespace {

// A rootless Podman asks dpkg who owns its programs before it tells its version.
Deadline engine_deadline() { return Deadline::after(std::chrono::seconds{5}); }

// Every bridge network, until the engine stops answering: after one call that took too long, the next would,
// too.
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

// libiptc would create a table that is not there yet, so that has to be known first.
std::optional<bool> legacy_input_drops() {
  if (!firewall::table_exists(firewall::Table::filter)) return std::nullopt;
  const unique_handle<xtc_handle, iptc_free> handle(iptc_init("filter"));
  if (!handle) return std::nullopt;
  ipt_counters counters{};
  const char* const policy = iptc_get_policy("INPUT", &counters, handle.get());
  if (policy == nullptr) return std::nullopt;
  return std::strcmp(policy, "DROP") == 0;
}

}  // namespace

EngineFacts gather_engine(const std::optional<Target>& target, const std::string& engine) {
  EngineFacts facts;
  facts.needed =
      target && (target->kind() == Target::Kind::container || target->kind() == Target::Kind::network);
  facts.address = see([&] { return engine::Address::find(engine); });
  if (!facts.address) return facts;
  facts.answers = see([&] {
    engine::Client(*facts.address).ping(engine_deadline());
    return true;
  });
  if (!facts.answers) return facts;
  facts.version = see([&] { return engine::Client(*facts.address).version(engine_deadline()); });
  facts.rootless = see([&] {
                     return engine::Client(*facts.address).is_rootless(engine_deadline());
                   }).value.value_or(false);
  facts.remote = see([&] {
                   return engine::Client(*facts.address).why_remote(engine_deadline()).value_or("");
                 }).value.value_or("which does not say whose it is");
  return facts;
}

std::vector<BridgeFacts> gather_bridges(const std::optional<Target>& target, const EngineFacts& engine,
                                        const std::string& explicit_engine) {
  netlink::Rtnl rtnl;
  exposer::Resolver resolver(rtnl, explicit_engine);
  if (!target) {
    // Those of an engine on the network, or at another user's socket, are not known to be here.
    if (engine.answers && engine.remote.empty()) return bridges_of_engine(*engine.address, resolver, rtnl);
    return bridges_here(resolver, rtnl);
  }
  if (engine.needed && !engine.answers) return {};  // the engine's own check says why
  BridgeFacts facts{.whose = target->to_string(), .asked = true};
  if (target->kind() == Target::Kind::bridge) facts.interface = target->name();
  facts.resolved = see([&] { return resolver.resolve(*target, false, false, engine_deadline()); });
  return {facts};
}

InputFacts gather_input(const std::vector<BridgeFacts>& bridges) {
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
  // Where no bridge is known yet, what the line would be for one.
  if (names.empty()) names.emplace_back("BRIDGE");
  for (const auto& name : names) {
    try {
      if (auto blocker = firewall::find_blocker(*facts.chains, netlink::nft_rules, name))
        facts.blocked.emplace_back(name, std::move(*blocker));
    } catch (const Error& error) {
      facts.unreadable = error.what();
    }
  }
  return facts;
}

}  // namespace hostnet::cli::doctor
