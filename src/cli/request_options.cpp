// Turns command-line words into a request.
#include "cli/request_options.hpp"

#include "cli/output.hpp"
#include "core/duration.hpp"
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"
#include "target/project.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <iterator>

namespace hostnet::cli {
namespace {

constexpr std::chrono::seconds kProjectSpan{30};  // for the lists of the engine

}  // namespace

void RequestOptions::define(Arguments& arguments) {
  arguments.values("PORT", ports,
                   "[ADDR:]PORT[:CPORT]: address of the host's loopback (default 127.0.0.1), host port, "
                   "container port; FROM-TO for a range; with /udp for UDP",
                   Need::required);
  arguments.value("--network NAME", network, "for every container on this network of the engine");
  arguments.value("--container NAME", container, "for this running container alone");
  arguments.value("--project NAME", project, "for every container on the networks of this compose project");
  arguments.value("--bridge INTERFACE", bridge,
                  "for every address behind this bridge interface; needs no engine");
  arguments.value("--netns PATH", netns, "for the owner of this network namespace alone, by path");
  define_way(arguments);
  arguments.value("--timeout DURATION", timeout,
                  "release automatically after this time: 90 (seconds), 15m, 1h30m, 1d");
  arguments.value("--label TEXT", label, "a note for `tc-hostnet list`");
  arguments.flag("--no-alias", no_alias, "leave the hosts files of running containers alone");
  arguments.flag("--require-listener", require_listener,
                 "fail (exit code 7) when nothing listens on the host port");
  arguments.flag("--force", force,
                 "ignore a service on gateway:port, a firewall that drops, or a bridge to other machines");
}

void RequestOptions::define_way(Arguments& arguments) {
  define_via(arguments, via);
  define_firewall(arguments, firewall);
}

std::chrono::seconds parse_span(std::string_view text) {
  using namespace std::chrono_literals;
  return std::chrono::ceil<std::chrono::seconds>(parse_duration(text, 1s, 30 * 24h));
}

std::vector<HostPort> parse_ports(const std::vector<std::string>& words) {
  std::vector<HostPort> out;
  for (const auto& word : words)
    for (const auto part : split(word, ',')) {
      auto some = HostPort::parse_range(part);
      std::ranges::move(some, std::back_inserter(out));
    }
  return out;
}

exposer::PathOrder RequestOptions::order() const { return exposer::parse_order(via); }

Firewall RequestOptions::wanted_firewall() const {
  return firewall::parse_firewall(firewall).value_or(Firewall::automatic);
}

std::vector<ExposeRequest> RequestOptions::to_requests(const Globals& globals) const {
  std::vector<Target> targets;
  if (!network.empty()) targets.push_back(Target::network(network));
  if (!container.empty()) targets.push_back(Target::container(container));
  if (!bridge.empty()) targets.push_back(Target::bridge(bridge));
  if (!netns.empty()) targets.push_back(Target::netns(netns));
  const auto given = targets.size() + (project.empty() ? 0 : 1);
  if (given != 1)
    throw Error(Errc::invalid_argument, given == 0 ? "no target is given" : "more than one target is given",
                "give exactly one of --network, --container, --project, --bridge and --netns");
  ExposeRequest request{.target = targets.empty() ? Target::network("") : targets.front(),
                        .ports = parse_ports(ports),
                        .write_alias = !no_alias,
                        .require_listener = require_listener,
                        .force = force,
                        .label = label,
                        .timeout = std::nullopt};
  if (!timeout.empty()) request.timeout = parse_span(timeout);
  if (project.empty()) return {std::move(request)};
  std::vector<ExposeRequest> out;
  engine::Client client(engine::Address::find(globals.engine));
  for (const auto& name : exposer::networks_of_project(client, project, Deadline::after(kProjectSpan))) {
    request.target = Target::network(name);
    out.push_back(request);
  }
  return out;
}

void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

ExposerOptions exposer_options(const Globals& globals) {
  ExposerOptions options;
  options.engine = globals.engine;
  options.runtime_dir = globals.runtime_dir;
  options.interactive = !globals.no_ask_password;
  return options;
}

void define_firewall(Arguments& arguments, std::string& into) {
  arguments.choice("--firewall WHERE", into, {"auto", "nftables", "iptables"}, "TC_HOSTNET_FIREWALL",
                   "where the native path puts its rules: auto, nftables or iptables");
}

void define_via(Arguments& arguments, std::string& into) {
  std::vector<std::string> names{"auto"};
  for (const auto* const path : exposer::paths()) names.emplace_back(path->name);
  arguments.order("--via PATH", into, names, "TC_HOSTNET_VIA",
                  "the path: auto, native, helper, ssh or relay; or several in the order to try: relay,ssh");
}

void explain(const exposer::PathOrder& wanted, const Globals& globals) {
  const auto choice = exposer::choose(wanted, exposer::probe_paths(exposer::paths(), globals.engine, wanted));
  for (const auto& reason : choice.reasons) say(reason);
  if (choice.driver == nullptr) say("no path is usable here");
}

}  // namespace hostnet::cli
