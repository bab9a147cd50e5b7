// Judges where the packet stops and how to fix it.
#include "cli/doctor/judge.hpp"
#include "cli/doctor/walk.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/exposer.hpp"
#include "lease/command_line.hpp"
#include "path/relay/relay_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

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
    return std::ranges::any_of(endpoint.addresses(),
                               [&](const Ip& own) { return is_among(sources, own.to_string()); });
  });
}

bool goes_by_sidecar(const Opening& opening) { return !opening.network.empty(); }

bool listens_inside(const Opening& opening) {
  return opening.via == exposer::kRelayPath.name && !opening.at_gateway && !opening.addresses.empty();
}

// Whether the opening serves this container, on any port.
bool is_for(const Opening& opening, const WalkFacts& facts) {
  if (!opening.container.empty()) return opening.container == facts.container->id;
  const bool there = goes_by_sidecar(opening)
                         ? is_on_network(facts, opening.network)
                         : facts.bridge.resolved && facts.bridge.resolved->bridge.name == opening.interface;
  return there && (opening.sources.empty() || has_address_of(facts, opening.sources));
}

bool has_port(const Opening& opening, const HostPort& port) {
  if (opening.foreign) return true;  // unknown; the connection decides
  return std::ranges::any_of(opening.ports, [&](const HostPort& open) {
    return open.container == port.container && open.protocol == port.protocol;
  });
}

// Where the relay listens for the port, if that is not the port itself; else empty.
std::string listens_elsewhere(const Opening& opening, const HostPort& port) {
  for (std::size_t i = 0; i < opening.listens.size(); ++i) {
    const auto& open = opening.ports.at(i);
    if (open.container != port.container || open.protocol != port.protocol) continue;
    if (opening.listens[i] == fmt::format("{}:{}", opening.addresses.front(), open.container)) return {};
    return fmt::format(" at {}, to which rules there lead port {}", opening.listens[i], open.container);
  }
  return {};
}

const HostPort& port_of(const Opening& opening, const HostPort& port) {
  return *std::ranges::find_if(opening.ports, [&](const HostPort& open) {
    return open.container == port.container && open.protocol == port.protocol;
  });
}

std::string expose_command(const WalkFacts& facts) {
  return exposer::expose_command({facts.port}, Target::container(name_of(facts)));
}

Check judge_container(const WalkFacts& facts) {
  constexpr const char* name = "container";
  if (!facts.engine.answers) {
    auto check = judge_engine(facts.engine);
    check.name = name;
    check.status = Status::fail;
    return check;
  }
  const char* const command = engine_command(facts.engine.podman);
  if (!facts.container)
    return {name, Status::fail, facts.container.error->what(),
            fmt::format("see the containers: {} ps", command)};
  const auto& container = *facts.container;
  if (!container.running)
    return {name, Status::fail, fmt::format("{} does not run", container.name),
            fmt::format("start it: {} start {}", command, shell_word(container.name))};
  if (container.state == "paused")
    return {name, Status::fail, fmt::format("{} is paused", container.name),
            fmt::format("resume it: {} unpause {}", command, shell_word(container.name))};
  std::vector<std::string> places;
  for (const auto& endpoint : container.endpoints)
    for (const auto& address : endpoint.addresses())
      places.push_back(fmt::format("{} on {}", address.to_string(), endpoint.network));
  if (places.empty()) {
    const auto without = fmt::format("no address of its own (network mode {})", container.network_mode);
    if (const auto* const opening = find_opening(facts); opening != nullptr && listens_inside(*opening))
      return {.name = name, .finding = fmt::format("{} runs, with {}", container.name, without)};
    return {name, Status::fail, fmt::format("{} has {}", container.name, without),
            fmt::format("start it on a bridge network: {} run --network NAME; or go by relay: {} --via relay",
                        command, expose_command(facts))};
  }
  const auto* const kind = facts.engine.rootless ? "; its engine runs rootless" : "";
  return {.name = name, .finding = fmt::format("{} runs, {}{}", container.name, list_of(places), kind)};
}

// The addresses that the name may have: the host's on the container's network, and sidecars'. With a lease for
// the port only that lease's, since another one does not lead to the service.
std::vector<std::string> right_addresses(const WalkFacts& facts, const Opening* opening) {
  std::vector<std::string> out;
  if (opening != nullptr && goes_by_sidecar(*opening)) {
    if (!opening->addresses.empty()) out = opening->addresses;
    for (const auto& other : facts.openings)
      if (!goes_by_sidecar(other) && is_for(other, facts) && has_port(other, facts.port))
        out.insert(out.end(), other.addresses.begin(), other.addresses.end());
    return out;
  }
  if (facts.bridge.resolved)
    for (const auto gateway : facts.bridge.resolved->gateways) out.push_back(gateway.to_string());
  return out;
}

Check wrong_name(const WalkFacts& facts, const engine::Definition& first,
                 const std::vector<std::string>& right) {
  const char* const command = engine_command(facts.engine.podman);
  const auto& container = facts.container->name;
  const bool by_option = first.lease.empty() && facts.alias.by_extra_host;
  const auto by = !first.lease.empty() ? fmt::format("the line of lease {}", first.lease)
                  : by_option          ? std::string("--add-host")
                                       : std::string("an entry of the container's own");
  Check check{"alias",
              Status::fail,
              fmt::format("{} is {} in its hosts file, by {}, but it should be {}", kAlias, first.address, by,
                          join(right, " or ")),
              {}};
  if (by_option)
    check.mend = fmt::format("create container {} again without --add-host for {}: expose writes the name",
                             container, kAlias);
  else
    check.mend = fmt::format(
        "{} exec -u 0 {} sh -c 'sed \"/^{}[[:space:]].*{}/d\" /etc/hosts >/tmp/hosts && cat /tmp/hosts "
        ">/etc/hosts'",
        command, shell_word(container), first.address, kAlias);
  return check;
}

Check judge_name(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "alias";
  const auto right = right_addresses(facts, opening);
  const auto addresses = alias_addresses(facts);
  const auto said = fmt::format("{} is {}", kAlias, join(addresses, " and "));
  if (facts.alias.hosts)
    if (const auto lines = engine::first_definitions(*facts.alias.hosts, kAlias); !lines.empty()) {
      for (const auto& line : lines)
        if (!right.empty() && !is_among(right, line.address)) return wrong_name(facts, line, right);
      const auto& lease = lines.front().lease;
      return {.name = name,
              .finding = fmt::format("{} in its hosts file{}", said,
                                     lease.empty() ? "" : fmt::format(", by lease {}", lease))};
    }
  if (!addresses.empty()) return {.name = name, .finding = said + ", by the network's DNS"};
  if (!facts.alias.hosts) return unseen(name, "its hosts file is not readable", *facts.alias.hosts.error);
  const auto missing = fmt::format("{} is not in its hosts file", kAlias);
  // Without a lease that is no fault: expose writes the name.
  if (opening == nullptr || opening->dead) return {.name = name, .finding = missing + "; expose writes it"};
  return {name, Status::fail, missing, expose_command(facts)};
}

Check judge_gateway(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "gateway";
  const auto routed = [&](std::string finding) -> Check {
    if (!facts.inside) return {.name = name, .finding = std::move(finding)};
    if (facts.inside->route) return {.name = name, .finding = finding + ", and a route inside leads there"};
    if (const auto& down = facts.inside->down; !down.empty())
      return {name, Status::fail, fmt::format("{}, but {} inside is down", finding, down),
              fmt::format("nsenter -t {} -n ip link set {} up", facts.container->pid, shell_word(down))};
    return {name, Status::fail, finding + ", but no route inside leads there",
            fmt::format("see its routes: nsenter -t {} -n ip route", facts.container->pid)};
  };
  // An address of its loopback needs no route.
  if (opening != nullptr && listens_inside(*opening))
    return {.name = name,
            .finding =
                fmt::format("{} is the container's own, where lease {} listens{}", opening->addresses.front(),
                            opening->lease, listens_elsewhere(*opening, facts.port))};
  if (opening != nullptr && goes_by_sidecar(*opening) && !opening->addresses.empty())
    return routed(fmt::format("{} is the {} of lease {} on {}", opening->addresses.front(),
                              opening->at_gateway ? "gateway, with the socket" : "sidecar", opening->lease,
                              opening->network));
  if (!facts.bridge.resolved) {
    const auto& error = *facts.bridge.resolved.error;
    return {name, Status::fail, error.what(),
            error.hint().empty() ? "run the full check: tc-hostnet doctor" : error.hint()};
  }
  const auto& bridge = facts.bridge.resolved->bridge;
  const auto& gateways = facts.bridge.resolved->gateways;
  if (gateways.empty())
    return {name, Status::fail, fmt::format("bridge {} has no IPv4 address", bridge.name),
            "run the full check: tc-hostnet doctor"};
  const auto address =
      std::ranges::any_of(gateways, [&](Ipv4 one) { return one.to_string() == facts.address; })
          ? facts.address
          : gateways.front().to_string();
  if (!bridge.up)
    return {name, Status::fail,
            fmt::format("{} is an address of bridge {}, which is down", address, bridge.name),
            fmt::format("ip link set {} up", bridge.name)};
  const auto finding = fmt::format("{} is this host, on bridge {}", address, bridge.name);
  if (!facts.port_down.empty())
    return {name, Status::fail,
            fmt::format("{}, but {}, the container's port of it, is down", finding, facts.port_down),
            fmt::format("ip link set {} up", facts.port_down)};
  return address == facts.address ? routed(finding) : Check{.name = name, .finding = finding};
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
  const char* const command = engine_command(facts.engine.podman);
  const auto again = fmt::format("tc-hostnet release {}, and expose again", opening->lease);
  const auto down = [&](const std::string& leads) -> std::optional<Check> {
    if (opening->sidecar_state == "paused")
      return Check{name, Status::fail, leads + ", but its sidecar is paused",
                   fmt::format("{} unpause {}", command, opening->sidecar)};
    if (!opening->sidecar_state.empty() && opening->sidecar_state != "running")
      return Check{name, Status::fail,
                   fmt::format("{}, but its sidecar is {}", leads, opening->sidecar_state), again};
    if (!opening->tunnel.empty())
      return Check{name, Status::fail,
                   fmt::format("{}, but its tunnel is not up: {}", leads, opening->tunnel), again};
    return std::nullopt;
  };
  if (opening->foreign) {
    const auto has = fmt::format("lease {} ({}) of another user has a sidecar on {}", opening->lease,
                                 opening->via, opening->network);
    if (auto fault = down(has)) return *fault;
    return {name, Status::unseen, has + ", whose ports cannot be seen from here", "run doctor as that user"};
  }
  const auto leads = fmt::format("lease {} ({}) leads {} to {}", opening->lease, opening->via,
                                 port_text(facts), port_of(*opening, facts.port).service());
  if (opening->dead)
    return {name, Status::fail, leads + ", but it has ended",
            "tc-hostnet list, which releases it; then " + expose_command(facts)};
  if (opening->in_journal && !facts.deviations.empty())
    return {name, Status::fail, fmt::format("{}, but {}", leads, list_of(facts.deviations)), again};
  if (auto fault = down(leads)) return *fault;
  return {.name = name, .finding = leads};
}

bool has_connected(const WalkFacts& facts) {
  const auto connected = [](const Dialled& one) { return one.outcome == Dialled::Outcome::connected; };
  return facts.inside && facts.inside->dialled && connected(*facts.inside->dialled) &&
         (!facts.inside->dialled_second || connected(*facts.inside->dialled_second));
}

bool has_failed_to_connect(const WalkFacts& facts) {
  return facts.inside && facts.inside->dialled && !has_connected(facts);
}

Check judge_firewall(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "firewall";
  if (opening != nullptr && listens_inside(*opening))
    return {.name = name, .finding = "not on the way: the socket is in the container itself"};
  if (!facts.drop) return unseen(name, "the host's rules are not readable", *facts.drop.error);
  const auto& drop = *facts.drop.value;
  if (!drop || (drop->before_ours && opening == nullptr)) {
    if (!facts.unread.empty())
      return {name, Status::unseen, "a part of the host's rules is not readable: " + facts.unread,
              "run it as root (sudo tc-hostnet doctor), or install the program that is missing"};
    return {.name = name, .finding = "no rule or policy of this host drops the connection"};
  }
  if (drop->certain)
    return {name, Status::fail,
            fmt::format("{} {} the connection", drop->what, drop->rejects ? "rejects" : "drops"),
            drop->remedy};
  const auto may = fmt::format("{} may {} the connection", drop->what, drop->rejects ? "reject" : "drop");
  if (has_connected(facts)) return {.name = name, .finding = may + ", but this one passed"};
  return {name, Status::warn, may, drop->remedy};
}

Check judge_return(const WalkFacts& facts, const Opening* opening) {
  constexpr const char* name = "return";
  if (opening != nullptr && listens_inside(*opening))
    return {.name = name, .finding = "not needed: the socket is in the container itself"};
  if (opening != nullptr && goes_by_sidecar(*opening))
    return {.name = name,
            .finding = opening->at_gateway
                           ? "not by this host: the bridge is in the engine's network namespace"
                           : "not needed: the sidecar is on the container's network"};
  if (!facts.back) return unseen(name, "the route of the answers is not known", *facts.back.error);
  const auto& back = *facts.back;
  const auto& bridge = facts.bridge.resolved->bridge.name;
  if (back.error == 0 && back.interface == bridge)
    return {.name = name, .finding = fmt::format("this host's answers go back by {}", bridge)};
  const auto lost =
      back.error != 0 ? fmt::format("this host's answers are lost: {}", std::strerror(back.error))
                      : fmt::format("this host's answers leave by {} instead of {}", back.interface, bridge);
  if (!facts.bridge.resolved->bridge.up) return {name, Status::fail, lost + ", as the bridge is down", {}};
  if (!back.rejecting.empty())
    return {name, Status::fail, fmt::format("{} (route {})", lost, back.rejecting),
            fmt::format("ip route del {}", back.rejecting)};
  if (back.rule)
    return {name, Status::fail, fmt::format("{} (rule {} of `ip rule`)", lost, *back.rule),
            fmt::format("ip rule del pref {}", *back.rule)};
  const auto net = Ipv4{back.subnet.address.host & netmask(back.subnet.length)};
  return {
      name, Status::fail,
      fmt::format("{}: there is no route to {}/{} by {}", lost, net.to_string(), back.subnet.length, bridge),
      fmt::format("ip route replace {}/{} dev {} src {}", net.to_string(), back.subnet.length, bridge,
                  back.subnet.address.to_string())};
}

Check judge_service(const WalkFacts& facts, const Opening* opening) {
  if (opening != nullptr && !opening->foreign)
    if (const auto& port = port_of(*opening, facts.port); !port.socket.empty())
      return {.name = "listener", .finding = fmt::format("the service is the Unix socket {}", port.socket)};
  auto check = judge_listener(facts.listener);
  const auto line = check.mend.find("tc-hostnet expose ");
  if (opening != nullptr && line != std::string::npos)
    check.mend.insert(line, fmt::format("tc-hostnet release {} && ", opening->lease));
  return check;
}

std::string endpoint_text(const std::string& address, std::uint16_t port) {
  const auto parsed = Ip::parse(address);
  return parsed ? IpEndpoint(*parsed, port).to_string() : fmt::format("{}:{}", address, port);
}

// A program may try the name's second address first, and go no further.
std::optional<std::string> second_fault(const WalkFacts& facts, const std::string& first) {
  const auto& second = facts.inside->dialled_second;
  if (!second || second->outcome == Dialled::Outcome::connected) return std::nullopt;
  const auto how = second->outcome == Dialled::Outcome::refused     ? std::string("refuses")
                   : second->outcome == Dialled::Outcome::timed_out ? std::string("does not answer")
                                                                    : second->error;
  return fmt::format("{} connects, but the name is {}, too, which {}", first, facts.second_address, how);
}

Check judge_connect(const WalkFacts& facts, const std::vector<Check>& before) {
  constexpr const char* name = "connect";
  if (!facts.inside) return unseen(name, "no connection from inside is possible", *facts.inside.error);
  const auto where = endpoint_text(facts.address, facts.port.container);
  if (!facts.inside->dialled)
    return {.name = name,
            .finding = fmt::format("not tried: over UDP only the service of {} decides "
                                   "whether to answer",
                                   where)};
  const auto& [outcome, took, error] = *facts.inside->dialled;
  const bool explained = std::ranges::any_of(before, [](const Check& c) { return c.status == Status::fail; });
  const auto next =
      explained
          ? std::string()
          : fmt::format("watch where its packets end: tcpdump -ni {} host {}",
                        facts.bridge.resolved ? facts.bridge.resolved->bridge.name : "any", facts.address);
  if (outcome == Dialled::Outcome::connected)
    if (auto fault = second_fault(facts, where)) return {name, Status::fail, std::move(*fault), next};
  switch (outcome) {
    case Dialled::Outcome::connected:
      return {
          .name = name,
          .finding = fmt::format("connected from inside to {} in {:.1f} ms{}", where,
                                 static_cast<double>(took.count()) / 1000,
                                 facts.inside->dialled_second
                                     ? ", and to " + endpoint_text(facts.second_address, facts.port.container)
                                     : "")};
    case Dialled::Outcome::refused:
      return {name, Status::fail, fmt::format("{} refuses", where), next};
    case Dialled::Outcome::timed_out:
      return {name, Status::fail, fmt::format("{} does not answer", where), next};
    case Dialled::Outcome::failed:
      break;
  }
  return {name, Status::fail, fmt::format("{}: {}", where, error), next};
}

// Corrects steps by the connection: those that failed although it succeeded, and a rule that may drop it if
// nothing else explains that it failed.
void correct(std::vector<Check>& steps, const WalkFacts& facts) {
  const bool none_failed = std::ranges::none_of(
      steps, [](const Check& step) { return step.status == Status::fail && step.name != "connect"; });
  for (auto& step : steps) {
    if (has_connected(facts) && step.status == Status::fail) {
      if (step.name == "firewall") {
        step.status = Status::warn;
        step.finding += " (this connection passed)";
      } else if (step.name == "forward") {
        step.finding +=
            fmt::format("; what answers on {}:{} is something else", facts.address, facts.port.container);
      }
    }
    if (none_failed && has_failed_to_connect(facts) && step.name == "firewall" && step.status == Status::warn)
      step.status = Status::fail;
  }
}

// Leaves one remedy for one fault: none for the failed connection if an earlier step explains it, and none
// twice.
void thin_out(std::vector<Check>& steps) {
  std::vector<std::string> given;
  bool failed = false;
  for (auto& step : steps) {
    if (is_among(given, step.mend) || (step.name == "connect" && step.status == Status::fail && failed))
      step.mend.clear();
    if (!step.mend.empty()) given.push_back(step.mend);
    failed |= step.status == Status::fail;
  }
}

}  // namespace

std::vector<std::string> alias_addresses(const WalkFacts& facts) {
  std::vector<std::string> out;
  if (facts.alias.hosts)
    for (const auto& line : engine::first_definitions(*facts.alias.hosts, kAlias))
      out.push_back(line.address);
  if (!out.empty()) return out;
  // The default networks (bridge, podman) have no DNS server.
  for (const auto& opening : facts.openings)
    if (goes_by_sidecar(opening) && !opening.at_gateway && !opening.dead && !opening.addresses.empty() &&
        opening.network != "bridge" && opening.network != "podman" && is_on_network(facts, opening.network))
      return opening.addresses;
  return out;
}

const Opening* find_opening(const WalkFacts& facts) {
  const Opening* found = nullptr;
  for (const auto& opening : facts.openings) {
    if (!is_for(opening, facts) || !has_port(opening, facts.port)) continue;
    const auto rank = [](const Opening& one) { return one.dead ? 2 : one.foreign ? 1 : 0; };
    if (found == nullptr || rank(opening) < rank(*found)) found = &opening;
  }
  return found;
}

std::vector<Check> judge_walk(const WalkFacts& facts) {
  std::vector<Check> steps{judge_container(facts)};
  if (steps.front().status == Status::fail) return steps;
  const auto* const opening = find_opening(facts);
  steps.push_back(judge_name(facts, opening));
  steps.push_back(judge_gateway(facts, opening));
  steps.push_back(judge_forward(facts, opening));
  steps.push_back(judge_firewall(facts, opening));
  steps.push_back(judge_service(facts, opening));
  steps.push_back(judge_return(facts, opening));
  steps.push_back(judge_connect(facts, steps));
  correct(steps, facts);
  thin_out(steps);
  return steps;
}

std::string stops_at(const std::vector<Check>& steps) {
  const auto stop = std::ranges::find(steps, Status::fail, &Check::status);
  return stop == steps.end() ? std::string() : stop->name;
}

std::vector<std::string> unseen_steps(const WalkFacts& facts, const std::vector<Check>& steps) {
  std::vector<std::string> out;
  if (has_connected(facts)) return out;
  for (const auto& step : steps)
    if (step.status == Status::unseen) out.push_back(step.name);
  return out;
}

}  // namespace hostnet::cli::doctor
