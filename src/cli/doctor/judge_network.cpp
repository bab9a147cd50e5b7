// Judges the engine, the bridges, INPUT and the listeners.
#include "cli/doctor/judge.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"
#include "lease/command_line.hpp"
#include "lease/listening.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hostnet::cli::doctor {
namespace {

bool is_podman(const EngineFacts& engine) {
  return engine.podman || (engine.version && engine.version->is_podman());
}

std::string gateways_text(const std::vector<Ipv4>& list) {
  std::vector<std::string> texts;
  for (const auto address : list) texts.push_back(address.to_string());
  return fmt::format("gateway{} {}", texts.size() == 1 ? "" : "s", list_of(texts));
}

// Whether the relay path serves such a target: it listens in the container itself.
bool may_be_relayed(const BridgeFacts& facts, const EngineFacts& engine) {
  return facts.whose.starts_with("container ") && engine.remote.empty() && engine.address &&
         engine.address->is_unix();
}

Check judge_bridge(const BridgeFacts& facts, const EngineFacts& engine) {
  Check check{.name = "bridge"};
  if (facts.resolved) {
    const auto& bridge = facts.resolved->bridge;
    const auto named = facts.whose == "bridge " + bridge.name
                           ? facts.whose
                           : fmt::format("{}: bridge {}", facts.whose, bridge.name);
    check.finding = fmt::format("{}, {}", named, gateways_text(facts.resolved->gateways));
    if (bridge.up) return check;
    check.status = facts.asked ? Status::fail : Status::warn;
    check.finding += ", but it is down";
    check.mend = fmt::format("ip link set {} up", bridge.name);
    return check;
  }
  const auto& error = *facts.resolved.error;
  if (!facts.asked && !facts.here && is_podman(engine) && !engine.rootless) {
    check.finding =
        fmt::format("{}: bridge {} is not there; Podman makes it for the network's first container",
                    facts.whose, facts.interface);
    return check;
  }
  check.status = facts.asked ? Status::fail : Status::warn;
  const std::string what = error.what();
  const char* const command = engine_command(is_podman(engine));
  check.finding =
      what.find(facts.whose) == std::string::npos ? fmt::format("{}: {}", facts.whose, what) : what;
  check.mend = !error.hint().empty()                   ? error.hint()
               : facts.whose.starts_with("container ") ? fmt::format("see the containers: {} ps", command)
               : facts.whose.starts_with("network ") ? fmt::format("see the networks: {} network ls", command)
                                                     : "see the bridges: ip link show type bridge";
  if (error.code() == Errc::no_path && engine.address && engine.address->ssh) {
    check.status = Status::warn;
    check.mend = "none is needed: without --via it goes by ssh";
  }
  if (error.code() == Errc::no_path && may_be_relayed(facts, engine))
    check.mend += "; or go by relay, which needs no bridge: --via relay";
  return check;
}

const char* secured(const engine::Tcp& tcp) {
  return !tcp.tls          ? "in plain HTTP, which anyone on the network path can read and change"
         : tcp.tls->verify ? "by TLS"
                           : "by TLS without a check of the certificate";
}

Check judge_managed_input(const InputFacts& facts, const netlink::NftChain& input) {
  const auto what = fmt::format("iptables-nft manages INPUT{}", input.drop_policy ? ", policy DROP" : "");
  if (facts.nft_programs)
    return {.name = "input", .finding = what + ": an accept goes to its head, by iptables-nft-restore"};
  return {"input", Status::fail,
          what + ", and its programs iptables-nft-save and iptables-nft-restore are not installed",
          "apt-get install iptables"};
}

// The listeners in other network namespaces, and what to do about the first.
struct ElsewhereText {
  std::string finding;
  std::string mend;
};
ElsewhereText elsewhere_text(const ListenerFacts& facts, const std::string& where) {
  std::vector<std::string> texts;
  for (const auto& one : facts.elsewhere) {
    const auto process = one.pid == 0          ? std::string("a process")
                         : one.command.empty() ? fmt::format("pid {}", one.pid)
                                               : fmt::format("{} (pid {})", one.command, one.pid);
    const auto owner = !one.container.empty() ? fmt::format(" of container {}", one.container)
                       : !one.netns.empty()   ? fmt::format(" in network namespace {}", one.netns)
                                              : std::string(" in another network namespace");
    texts.push_back(fmt::format("{}{} listens on {}", process, owner, one.address));
  }
  const auto& first = facts.elsewhere.front();
  ElsewhereText out{fmt::format("nothing listens on {}/{} of this host; {}", where,
                                to_string(facts.port.protocol), list_of(texts)),
                    {}};
  if (!first.container.empty())
    out.mend = fmt::format("publish its port on this host: start container {} with -p {}:{}", first.container,
                           where, facts.port.host);
  else
    out.mend = fmt::format("start the service in this network namespace, bound to {}", where);
  return out;
}

bool has_ssh_path(const ListenerFacts& facts) {
  return !facts.target || facts.target->kind() == Target::Kind::container ||
         facts.target->kind() == Target::Kind::network;
}

std::string expose_line(const ListenerFacts& facts, const HostPort& port) {
  return exposer::expose_command({port}, facts.target.value_or(Target::network("NAME")));
}

}  // namespace

const char* engine_command(bool podman) noexcept { return podman ? "podman" : "docker"; }

Check judge_engine(const EngineFacts& facts) {
  const auto failed = [&](const Error& error) {
    return Check{"engine", facts.needed ? Status::fail : Status::warn, error.what(),
                 error.hint().empty() ? "start the engine, or give its socket with --engine" : error.hint()};
  };
  if (!facts.address) return failed(*facts.address.error);
  if (!facts.answers) {
    auto check = failed(*facts.answers.error);
    // It is there, and what it would say is not known: that is more than a missing engine, which nothing may need.
    if (check.status == Status::warn && facts.answers.error->code() == Errc::timed_out)
      check.status = Status::unseen;
    return check;
  }
  if (!facts.version)
    return {"engine", Status::unseen, fmt::format("it answers, but {}", facts.version.error->what()),
            fmt::format("check whether it is overloaded: {} version", engine_command(is_podman(facts)))};
  const auto what = fmt::format("{} {} at {} ({})", facts.version->product, facts.version->version,
                                facts.address->socket, facts.address->from);
  if (facts.address->ssh)
    return {
        "engine", Status::warn,
        fmt::format(
            "{}, by an ssh login, is on another machine, so only the ssh path leads to its containers", what),
        "for the native path, run tc-hostnet on that machine"};
  if (facts.address->tcp)
    return {"engine", Status::warn,
            fmt::format(
                "{}, {}, is not known to be on this machine, so only the ssh path leads to its containers",
                what, secured(*facts.address->tcp)),
            "for the native path, use an engine of this machine: --engine unix:///run/docker.sock"};
  if (!facts.rootless_unknown.empty() && facts.remote.empty())
    return {"engine", Status::unseen,
            fmt::format("{}; whether it runs rootless is not known: {}", what, facts.rootless_unknown),
            fmt::format("ask it: {} info", engine_command(is_podman(facts)))};
  if (!facts.rootless && facts.remote.empty()) return {.name = "engine", .finding = what};
  if (!facts.rootless)
    return {
        "engine", Status::warn,
        fmt::format("{}, {}: what it says of this machine is not acted upon, so only the ssh path leads to "
                    "its containers",
                    what, facts.remote),
        "for the native path, use the system's engine: DOCKER_HOST=unix:///run/docker.sock"};
  return {"engine", Status::warn,
          what +
              " runs rootless: its bridges are in a network namespace of its own, so only the ssh and relay "
              "paths lead there",
          "for the native path, use the system's engine: DOCKER_HOST=unix:///run/docker.sock"};
}

std::vector<Check> judge_bridges(const std::vector<BridgeFacts>& facts, const EngineFacts& engine) {
  std::vector<Check> checks;
  for (const auto& bridge : facts) checks.push_back(judge_bridge(bridge, engine));
  if (checks.empty() && !(engine.needed && !engine.answers))
    checks.push_back(
        {"bridge", Status::warn, "no bridge here leads from containers to this host",
         fmt::format("make a network: {} network create NAME", engine_command(is_podman(engine)))});
  return checks;
}

std::vector<Check> judge_input(const InputFacts& facts) {
  if (!facts.chains)
    return {unseen("input", "the chains of nf_tables are not readable", *facts.chains.error)};
  std::vector<Check> checks;
  const auto managed = std::ranges::find_if(*facts.chains, firewall::is_iptables_nft_input);
  const bool decides = managed != facts.chains->end() && (managed->drop_policy || managed->use > 0);
  if (decides) checks.push_back(judge_managed_input(facts, *managed));
  if (facts.legacy_drop && *facts.legacy_drop)
    checks.push_back(
        {.name = "input", .finding = "legacy INPUT has policy DROP: an accept goes to its head"});

  // One chain may block several bridges: one finding, with one remedy per bridge.
  struct Blocked {
    std::vector<std::string> bridges;
    std::vector<std::string> remedies;
  };
  std::map<std::string, Blocked> by_chain;
  for (const auto& [bridge, blocker] : facts.blocked) {
    by_chain[blocker.chain].bridges.push_back(bridge);
    by_chain[blocker.chain].remedies.push_back(blocker.remedy);
  }
  for (const auto& [chain, blocked] : by_chain)
    checks.push_back(
        {"input", Status::fail,
         fmt::format("the firewall chain {} drops what it does not know, traffic from {} included, and no "
                     "rule of another table can overrule it",
                     chain, list_of(blocked.bridges)),
         join(blocked.remedies, " && ")});
  std::vector<std::string> named;
  for (const auto& [bridge, drop] : facts.drops) {
    if (std::ranges::find(named, drop.what) != named.end()) continue;
    named.push_back(drop.what);
    checks.push_back({"input", drop.certain ? Status::fail : Status::warn,
                      fmt::format("{} {} connections from {}", drop.what,
                                  drop.certain ? (drop.rejects ? "rejects" : "drops")
                                               : (drop.rejects ? "may reject" : "may drop"),
                                  bridge),
                      drop.remedy});
  }
  if (!facts.unread.empty())
    checks.push_back({"input", Status::unseen, "a part of the rules was not readable: " + facts.unread,
                      "run it as root (sudo tc-hostnet doctor), or install the program that is missing"});
  if (!facts.unreadable.empty())
    checks.push_back({"input", Status::warn, facts.unreadable, "run again: tc-hostnet doctor"});
  if (checks.empty())
    checks.push_back({.name = "input", .finding = "no policy or rule drops connections from a bridge"});
  return checks;
}

Check judge_listener(const ListenerFacts& facts) {
  if (!facts.port.socket.empty())
    return {.name = "listener",
            .finding = fmt::format("the service is the Unix socket {}", facts.port.socket)};
  const auto where = facts.port.service();
  const char* const protocol = to_string(facts.port.protocol);
  if (!facts.listeners)
    return unseen("listener", fmt::format("listeners on {}/{} are not readable", where, protocol),
                  *facts.listeners.error);
  const auto& found = *facts.listeners;
  const auto reached = [&](exposer::Origin origin) {
    return std::ranges::find_if(
        found, [&](const auto& listener) { return exposer::is_reached(facts.port, listener, origin); });
  };
  if (const auto serving = reached(facts.origin); serving != found.end()) {
    const auto listens = fmt::format("uid {} listens on {}/{}", serving->uid, serving->to_string(), protocol);
    const bool exactly = serving->to_string() == where || serving->serves_ipv6_loopback();
    return {.name = "listener",
            .finding = exactly ? listens : fmt::format("{}, which includes {}", listens, where)};
  }
  const auto look = fmt::format("ss -l{}np 'sport = :{}'", protocol[0], facts.port.host);
  if (found.empty() && !facts.elsewhere.empty()) {
    const auto text = elsewhere_text(facts, where);
    return {"listener", Status::fail, text.finding, text.mend};
  }
  if (found.empty())
    return {"listener", Status::fail,
            fmt::format("nothing listens on {}/{}: containers are refused", where, protocol),
            fmt::format("start the service, bound to {}; to check: {}", where, look)};
  std::vector<std::string> others;
  for (const auto& listener : found)
    others.push_back(fmt::format("{} (uid {})", listener.to_string(), listener.uid));
  const auto only = fmt::format("nothing listens on {}/{}, only on {}", where, protocol, list_of(others));
  const auto bind = fmt::format("also bind the service to {}; to check: {}", where, look);
  if (reached(exposer::Origin::host) != found.end())
    return {"listener", Status::fail, only + ", which only the ssh path reaches",
            has_ssh_path(facts) ? expose_line(facts, facts.port) + " --via ssh" : bind};
  const auto advice = exposer::advice(
      *exposer::others_of(facts.port, found,
                          has_ssh_path(facts) ? exposer::Origin::host : exposer::Origin::bridge),
      [&](const HostPort& instead) { return expose_line(facts, instead); });
  return {"listener", Status::fail, only + ": containers are refused", advice.empty() ? bind : advice};
}

}  // namespace hostnet::cli::doctor
