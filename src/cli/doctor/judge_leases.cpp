// Judges the leases, interfaces that are open without a guard, and the alias.
#include "cli/doctor/judge.hpp"
#include "core/strings.hpp"
#include "engine/hosts_file.hpp"
#include "hostnet/exposer.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::cli::doctor {
namespace {

// Uses / as the separator if the interface name has a dot, which sysctl would read as a separator.
std::string switch_off(const std::string& interface) {
  const char separator = interface.find('.') == std::string::npos ? '.' : '/';
  std::string key = fmt::format("net{0}ipv4{0}conf{0}{1}{0}route_localnet=0", separator, interface);
  return "sysctl -w " + shell_word(key);
}

}  // namespace

Check judge_state(const StateFacts& facts) {
  Check check{.name = "state"};
  if (!facts.held) {
    const auto& error = *facts.held.error;
    if (error.code() != Errc::state_corrupt) return unseen("state", "the leases are not readable", error);
    return {"state", Status::fail, error.what(), "tc-hostnet release --all"};
  }
  const auto count = facts.held->leases.size();
  const auto beside = facts.others.empty() ? std::string() : fmt::format("{}", list_of(facts.others));
  if (count == 0) {
    check.finding = beside.empty() ? "no leases" : beside;
    return check;
  }
  const auto held = fmt::format("{} lease{} on {} bridge{}", count, count == 1 ? "" : "s",
                                facts.held->bridges.size(), facts.held->bridges.size() == 1 ? "" : "s");
  if (!facts.dead.empty()) {
    check.status = Status::warn;
    check.finding = fmt::format("{}; ended but not released yet: {}", held, list_of(facts.dead));
    check.mend = "tc-hostnet list, which releases them";
  } else if (!facts.deviations) {
    return unseen("state", held + ", whose rules are not readable", *facts.deviations.error);
  } else if (!facts.deviations->empty()) {
    check.status = Status::fail;
    check.finding = fmt::format("{}, but {}", held, list_of(*facts.deviations));
    check.mend = "tc-hostnet release --all, and expose again";
  } else {
    check.finding = held + ", with every rule in place";
  }
  if (!beside.empty()) check.finding += "; beside them " + beside;
  return check;
}

std::vector<Check> judge_route_localnet(const RouteLocalnetFacts& facts) {
  constexpr const char* name = "route_localnet";
  if (!facts.open) return {unseen(name, "the interfaces are not readable", *facts.open.error)};
  std::vector<Check> checks;
  if (facts.all)
    checks.push_back(
        {name, Status::warn,
         "it is on for all interfaces: every neighbour of this host that can craft packets reaches all "
         "local services",
         switch_off("all")});
  if (!facts.open->empty() && !facts.guarded) {
    checks.push_back(unseen(name, fmt::format("on for {}; the guards are not readable", list_of(*facts.open)),
                            *facts.guarded.error));
    return checks;
  }
  std::vector<std::string> guarded;
  for (const auto& interface : *facts.open) {
    if (std::ranges::find(*facts.guarded, interface) != facts.guarded->end()) {
      guarded.push_back(interface);
      continue;
    }
    checks.push_back(
        {name, Status::warn,
         fmt::format("on for {0} without a guard: every container on {0} with CAP_NET_RAW reaches all "
                     "local services",
                     interface),
         switch_off(interface)});
  }
  if (checks.empty())
    checks.push_back({.name = name,
                      .finding = guarded.empty()
                                     ? "off everywhere"
                                     : fmt::format("on only for {}, behind the guard", list_of(guarded))});
  return checks;
}

Check judge_alias(const AliasFacts& facts) {
  Check check{.name = "alias"};
  const auto where = fmt::format("in container {}", facts.container);
  if (!facts.hosts)
    return unseen("alias", fmt::format("the hosts file of container {} is not readable", facts.container),
                  *facts.hosts.error);

  if (const auto theirs = engine::foreign_definition(*facts.hosts, kAlias)) {
    const auto by = facts.by_extra_host ? "--add-host" : "an entry of the container's own";
    check.finding = fmt::format("{} is {} {}, by {}", kAlias, *theirs, where, by);
    const auto address = Ipv4::parse(*theirs);
    const bool leads_here = address && std::ranges::find(facts.gateways, *address) != facts.gateways.end();
    if (leads_here || facts.gateways.empty()) return check;
    check.status = Status::fail;
    check.finding += ", which is not this host's address on its network";
    check.mend =
        fmt::format("create the container with --add-host {}:host-gateway, or use --no-alias", kAlias);
    return check;
  }
  if (engine::defines(*facts.hosts, kAlias)) {
    const auto writer = std::ranges::find_if(facts.leases, [&](const std::string& lease) {
      return engine::without_alias(*facts.hosts, lease) != *facts.hosts;
    });
    if (writer != facts.leases.end()) {
      check.finding = fmt::format("{} is defined {}, by lease {}", kAlias, where, *writer);
      return check;
    }
    check.status = Status::warn;
    check.finding = fmt::format("{} is defined {}, left by a lease that is gone", kAlias, where);
    check.mend = fmt::format("restart the container to recreate its hosts file: {} restart {}",
                             engine_command(facts.podman), shell_word(facts.container));
    return check;
  }
  if (facts.promised) {
    check.status = Status::warn;
    check.finding = fmt::format("{} is missing {}, where lease {} wrote it", kAlias, where, *facts.promised);
    check.mend = fmt::format("tc-hostnet release {}, and expose again", *facts.promised);
    return check;
  }
  check.finding = fmt::format("{} is not defined {}; expose writes it", kAlias, where);
  return check;
}

std::optional<Check> judge_request(const RequestFacts& facts, const std::vector<Check>& others) {
  constexpr const char* name = "request";
  if (!facts.refusal) return Check{.name = name, .finding = "expose would accept it"};
  const auto& refusal = *facts.refusal;
  // The input and listener checks report these.
  if (refusal.code() == Errc::firewall_blocked) return std::nullopt;
  if (refusal.code() == Errc::not_listening) return Check{.name = name, .finding = "expose would accept it"};
  const auto reported = std::ranges::any_of(others, [&](const Check& other) {
    return other.status == Status::fail && other.finding.find(refusal.what()) != std::string::npos;
  });
  if (reported) return std::nullopt;
  return Check{name, Status::fail, fmt::format("expose would refuse: {}", refusal.what()),
               refusal.hint().empty() ? "fix that, and run again: tc-hostnet doctor" : refusal.hint()};
}

}  // namespace hostnet::cli::doctor
