// Judges where the packet stops and how to fix it, and draws the steps.
#include "cli/doctor/judge.hpp"
#include "cli/doctor/walk.hpp"
#include "cli/output.hpp"
#include "core/strings.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/exposer.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::cli::doctor {
namespace {

bool is_among(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

std::string port_text(const WalkFacts& facts) {
  return fmt::format("{}/{}", facts.port.container, to_string(facts.port.protocol));
}

const std::string& name_of(const WalkFacts& facts) { return facts.container->name; }

bool is_on_network(const WalkFacts& facts, const std::string& network) {
  return std::ranges::find(facts.container->endpoints, network, &engine::Endpoint::network) !=
         facts.container->endpoints.end();
}

bool has_address_of(const WalkFacts& facts, const std::vector<std::string>& sources) {
  return std::ranges::any_of(facts.container->endpoints, [&](const engine::Endpoint& endpoint) {
    return endpoint.address && is_among(sources, endpoint.address->to_string());
  });
}

bool goes_by_sidecar(const Opening& opening) { return !opening.network.empty(); }

// Whether the opening serves this container, on any port.
bool is_for(const Opening& opening, const WalkFacts& facts) {
  const bool there = goes_by_sidecar(opening)
                         ? is_on_network(facts, opening.network)
                         : facts.bridge.resolved && facts.bridge.resolved->bridge.name == opening.interface;
  return there && (opening.sources.empty() || has_address_of(facts, opening.sources));
}

bool has_port(const Opening& opening, const HostPort& port) {
  return std::ranges::any_of(opening.ports, [&](const HostPort& open) {
    return open.container == port.container && open.protocol == port.protocol;
  });
}

const HostPort& port_of(const Opening& opening, const HostPort& port) {
  return *std::ranges::find_if(opening.ports, [&](const HostPort& open) {
    return open.container == port.container && open.protocol == port.protocol;
  });
}

std::string expose_command(const WalkFacts& facts) {
  HostPort port = facts.port;
  auto text = port.to_string();
  if (port.protocol == Protocol::tcp) text.resize(text.rfind('/'));
  return fmt::format("tc-hostnet expose {} --container {}", text, shell_word(name_of(facts)));
}

Check judge_container(const WalkFacts& facts) {
  constexpr const char* name = "container";
  if (!facts.engine.answers) {
    auto check = judge_engine(facts.engine);
    check.name = name;
    check.status = Status::fail;
    return check;
  }
  if (!facts.container)
    return {name, Status::fail, facts.container.error->what(), "see the containers: docker ps"};
  const auto& container = *facts.container;
  if (!container.running)
    return {name, Status::fail, fmt::format("{} does not run", container.name),
            fmt::format("start it: docker start {}", shell_word(container.name))};
  std::vector<std::string> places;
  for (const auto& endpoint : container.endpoints)
    if (endpoint.address)
      places.push_back(fmt::format("{} on {}", endpoint.address->to_string(), endpoint.network));
  if (places.empty())
    return {name, Status::fail,
            fmt::format("{} has no IPv4 address of its own (network mode {})", container.name,
                        container.network_mode),
            "start it on a bridge network: docker run --network NAME"};
  return {.name = name, .finding = fmt::format("{} runs, {}", container.name, list_of(places))};
}

Check judge_name(const WalkFacts& facts) {
  constexpr const char* name = "alias";
  if (facts.alias.hosts && engine::defines(*facts.alias.hosts, kAlias)) {
    const auto definition = engine::definition_by_others(*facts.alias.hosts, kAlias, "");
    return {
        .name = name,
        .finding = fmt::format(
            "{} is {} in its hosts file{}", kAlias, facts.address,
            definition && !definition->lease.empty() ? fmt::format(", by lease {}", definition->lease) : "")};
  }
  if (const auto address = alias_address(facts); !address.empty())
    return {.name = name, .finding = fmt::format("{} is {}, by the network's DNS", kAlias, address)};
  if (!facts.alias.hosts) return unseen(name, "its hosts file is not readable", *facts.alias.hosts.error);
  return {name, Status::fail, fmt::format("{} is not in its hosts file", kAlias), expose_command(facts)};
}

Check judge_gateway(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "gateway";
  const auto routed = [&](std::string finding) -> Check {
    if (!facts.inside) return {.name = name, .finding = std::move(finding)};
    if (facts.inside->route) return {.name = name, .finding = finding + ", and a route inside leads there"};
    return {name, Status::fail, finding + ", but no route inside leads there",
            fmt::format("see its routes: nsenter -t {} -n ip route", facts.container->pid)};
  };
  if (opening != nullptr && goes_by_sidecar(*opening) && is_among(opening->addresses, facts.address))
    return routed(
        fmt::format("{} is the sidecar of lease {} on {}", facts.address, opening->lease, opening->network));
  if (!facts.bridge.resolved) {
    const auto& error = *facts.bridge.resolved.error;
    return {name, Status::fail, error.what(),
            error.hint().empty() ? "run the full check: tc-hostnet doctor" : error.hint()};
  }
  const auto& bridge = facts.bridge.resolved->bridge;
  const auto& gateways = facts.bridge.resolved->gateways;
  const bool ours =
      std::ranges::any_of(gateways, [&](Ipv4 gateway) { return gateway.to_string() == facts.address; });
  if (!ours)
    return {name, Status::fail,
            fmt::format("{} is not this host's address on its network; {} has {}", facts.address, bridge.name,
                        gateways.empty() ? "no address" : gateways.front().to_string()),
            fmt::format("create the container without its own entry for {}", kAlias)};
  if (!bridge.up)
    return {name, Status::fail,
            fmt::format("{} is an address of bridge {}, which is down", facts.address, bridge.name),
            fmt::format("ip link set {} up", bridge.name)};
  return routed(fmt::format("{} is this host, on bridge {}", facts.address, bridge.name));
}

// Names a lease that is close to the missing one: same container, or same port.
std::string others(const WalkFacts& facts) {
  for (const auto& opening : facts.openings) {
    if (is_for(opening, facts)) return fmt::format("; lease {} gives it other ports", opening.lease);
    if (has_port(opening, facts.port))
      return fmt::format("; lease {} has that port for {}", opening.lease, opening.target);
  }
  return {};
}

Check judge_forward(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "forward";
  if (opening == nullptr && facts.unseen_openings)
    return unseen(name, fmt::format("leases for {} are not readable", port_text(facts)),
                  *facts.unseen_openings);
  if (opening == nullptr)
    return {name, Status::fail, fmt::format("no lease lets it in on {}{}", port_text(facts), others(facts)),
            expose_command(facts)};
  const auto leads = fmt::format("lease {} ({}) leads {} to {}", opening->lease, opening->via,
                                 port_text(facts), port_of(*opening, facts.port).service());
  if (opening->dead)
    return {name, Status::fail, leads + ", but it has ended",
            "tc-hostnet list, which releases it; then " + expose_command(facts)};
  if (opening->in_journal && !facts.deviations.empty())
    return {name, Status::fail, fmt::format("{}, but {}", leads, list_of(facts.deviations)),
            fmt::format("tc-hostnet release {}, and expose again", opening->lease)};
  return {.name = name, .finding = leads};
}

Check judge_firewall(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "firewall";
  if (opening != nullptr && goes_by_sidecar(*opening))
    return {.name = name, .finding = "not passed: the traffic uses the sidecar's tunnel"};
  auto checks = judge_input(facts.input);
  const auto worst = std::ranges::max_element(checks, {}, &Check::status);
  worst->name = name;
  return *worst;
}

Check judge_service(const WalkFacts& facts, const Opening* opening) {
  if (opening != nullptr)
    if (const auto& port = port_of(*opening, facts.port); !port.socket.empty())
      return {.name = "listener", .finding = fmt::format("the service is the Unix socket {}", port.socket)};
  return judge_listener(facts.listener);
}

Check judge_connect(const WalkFacts& facts, const std::vector<Check>& before) {
  constexpr const char* name = "connect";
  if (!facts.inside) return unseen(name, "no connection from inside is possible", *facts.inside.error);
  const auto where = fmt::format("{}:{}", facts.address, facts.port.container);
  if (!facts.inside->dialled)
    return {.name = name,
            .finding = fmt::format("not tried: over UDP only the service of {} decides "
                                   "whether to answer",
                                   where)};
  const auto& [outcome, took, error] = *facts.inside->dialled;
  const bool explained = std::ranges::any_of(before, [](const Check& c) { return c.status == Status::fail; });
  switch (outcome) {
    case Dialled::Outcome::connected:
      return {.name = name,
              .finding = fmt::format("connected from inside to {} in {:.1f} ms", where,
                                     static_cast<double>(took.count()) / 1000)};
    case Dialled::Outcome::refused:
      return {name, Status::fail, fmt::format("{} refuses: no rule leads there, or nothing listens", where),
              explained ? "fix the failures above" : "run the full check: tc-hostnet doctor"};
    case Dialled::Outcome::timed_out:
      return {name, Status::fail, fmt::format("{} does not answer: a firewall drops it", where),
              explained ? "fix the failures above"
                        : "see what drops it: nft list ruleset; iptables-legacy -nvL INPUT"};
    case Dialled::Outcome::failed:
      break;
  }
  return {name, Status::fail, fmt::format("{}: {}", where, error),
          explained ? "fix the failures above" : "run the full check: tc-hostnet doctor"};
}

// Corrects steps that failed although the connection succeeded.
void correct(std::vector<Check>& steps, const WalkFacts& facts) {
  for (auto& step : steps) {
    if (step.status != Status::fail) continue;
    if (step.name == "firewall") {
      step.status = Status::warn;
      step.finding += " (this connection passed)";
    } else if (step.name == "forward") {
      step.finding +=
          fmt::format("; what answers on {}:{} is something else", facts.address, facts.port.container);
    }
  }
}

}  // namespace

std::string alias_address(const WalkFacts& facts) {
  if (facts.alias.hosts)
    if (const auto definition = engine::definition_by_others(*facts.alias.hosts, kAlias, ""))
      return definition->address;
  // The default networks (bridge, podman) have no DNS server.
  for (const auto& opening : facts.openings)
    if (goes_by_sidecar(opening) && !opening.dead && !opening.addresses.empty() &&
        opening.network != "bridge" && opening.network != "podman" && is_on_network(facts, opening.network))
      return opening.addresses.front();
  return {};
}

const Opening* find_opening(const WalkFacts& facts) {
  const Opening* found = nullptr;
  for (const auto& opening : facts.openings) {
    if (!is_for(opening, facts) || !has_port(opening, facts.port)) continue;
    if (found == nullptr || (found->dead && !opening.dead)) found = &opening;
  }
  return found;
}

std::vector<Check> judge_walk(const WalkFacts& facts) {
  std::vector<Check> steps{judge_container(facts)};
  if (steps.front().status == Status::fail) return steps;
  const auto* const opening = find_opening(facts);
  steps.push_back(judge_name(facts));
  steps.push_back(judge_gateway(facts, opening));
  steps.push_back(judge_forward(facts, opening));
  steps.push_back(judge_firewall(facts, opening));
  steps.push_back(judge_service(facts, opening));
  steps.push_back(judge_connect(facts, steps));
  const bool connected =
      facts.inside && facts.inside->dialled && facts.inside->dialled->outcome == Dialled::Outcome::connected;
  if (connected) correct(steps, facts);
  return steps;
}

std::string stops_at(const std::vector<Check>& steps) {
  const auto stop = std::ranges::find(steps, Status::fail, &Check::status);
  return stop == steps.end() ? std::string() : stop->name;
}

std::vector<Text> draw_walk(const WalkFacts& facts, const std::vector<Check>& steps) {
  std::vector<Text> lines{
      paint(Tone::strong, fmt::format("{} → {}:{}", facts.alias.container, kAlias, facts.port.container))};
  bool stopped = false;
  for (const auto& step : steps) {
    const bool stop = !stopped && step.status == Status::fail;
    const auto* const way = stop ? "╳" : stopped ? "┊" : "│";
    stopped |= stop;
    lines.push_back(fmt::format(" {} ", way) + mark(step.status) +
                    fmt::format(" {:<10} {}", step.name, step.finding));
    if (!step.mend.empty())
      lines.push_back(fmt::format(" {}              → ", stopped ? "┊" : "│") +
                      paint(Tone::strong, step.mend));
  }
  lines.push_back(stopped ? paint(Tone::bad, fmt::format(" ✗ it stops at: {}", stops_at(steps)))
                          : paint(Tone::good, " ▼ the way is open, as far as doctor can see"));
  return lines;
}

}  // namespace hostnet::cli::doctor
