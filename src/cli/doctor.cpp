// `tc-hostnet doctor`: finds out why something does not work and prints how to fix it. Changes nothing.
#include "cli/command.hpp"
#include "cli/doctor/gather.hpp"
#include "cli/doctor/judge.hpp"
#include "cli/doctor/walk.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "cli/request_options.hpp"
#include "core/advice.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "target/interface_name.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace hostnet::cli {
namespace {

using doctor::Check;
using doctor::Status;

struct DoctorOptions {
  std::vector<std::string> ports;
  std::string network;
  std::string container;
  std::string bridge;
  std::string port;
};

std::optional<Target> target_of(const DoctorOptions& options) {
  std::vector<Target> targets;
  if (!options.network.empty()) targets.push_back(Target::network(options.network));
  if (!options.container.empty()) targets.push_back(Target::container(options.container));
  if (!options.bridge.empty()) targets.push_back(Target::bridge(options.bridge));
  if (targets.size() > 1)
    throw Error(Errc::invalid_argument, "more than one target is given",
                "give at most one of --network, --container and --bridge");
  if (const auto fault = exposer::interface_name_fault(options.bridge); fault && !options.bridge.empty())
    throw Error(Errc::invalid_argument,
                fmt::format("{} is not an interface name: {}", quote(options.bridge), *fault),
                "see the bridges: ip link show type bridge");
  return targets.empty() ? std::nullopt : std::optional(targets.front());
}

// A list item: its sign, then the text, with the following lines indented below it.
void print_item(const Text& sign, std::string_view text, std::size_t indent, std::size_t width,
                bool strong = false) {
  const auto blanks = std::string(indent, ' ');
  bool first = true;
  for (const auto& line : wrap(text, width > indent + 10 ? width - indent : 0)) {
    print((first ? sign : Text(blanks)) + (strong ? paint(Tone::strong, line) : Text(line)));
    first = false;
  }
}

void print_text(const std::vector<Check>& checks) {
  const auto width = output_width();
  for (const auto& check : checks) {
    print_item(mark(check.status) + " ", fmt::format("{}: {}", check.name, check.finding), 2, width);
    if (!check.mend.empty()) print_item("    → ", check.mend, 6, width, true);
  }
  const auto count = [&](Status status) { return std::ranges::count(checks, status, &Check::status); };
  const auto counted = [&](Status status, const char* noun) {
    const auto number = count(status);
    return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
  };
  auto line = fmt::format("{} ok, {}, {}", count(Status::ok), counted(Status::warn, "warning"),
                          counted(Status::fail, "failure"));
  if (const auto unseen = count(Status::unseen); unseen > 0)
    line += fmt::format(", {} that cannot be seen{}", unseen, ::geteuid() == 0 ? "" : " as this user");
  say(line);
}

std::optional<std::string> or_null(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

json::Value checks_to_json(const std::vector<Check>& checks) {
  auto list = json::array();
  for (const auto& check : checks)
    list.push_back({{"name", check.name},
                    {"status", to_string(check.status)},
                    {"finding", check.finding},
                    {"mend", or_null(check.mend)}});
  return list;
}

// As for errors.
std::vector<Check> for_this_user(std::vector<Check> checks) {
  for (auto& check : checks) check.mend = advice_for(::geteuid(), check.mend);
  return checks;
}

// Parses --port: the port that the container dials.
HostPort dialled_port(const DoctorOptions& options) {
  const auto port = HostPort::parse(options.port);
  const bool alone = options.ports.empty() && options.network.empty() && options.bridge.empty();
  if (options.container.empty() || !alone || !port.socket.empty())
    throw Error(Errc::invalid_argument, "--port follows one port from inside one container",
                "give it as: tc-hostnet doctor --container NAME --port PORT");
  return port;
}

int walk(const DoctorOptions& options, const Globals& globals) {
  const auto facts = doctor::gather_walk(options.container, dialled_port(options), globals);
  const auto steps = for_this_user(doctor::judge_walk(facts));
  const auto stop = doctor::stops_at(steps);
  const auto unseen = doctor::unseen_steps(facts, steps);
  const bool ok = stop.empty() && unseen.empty();
  if (globals.json) {
    print_json({{"container", options.container},
                {"port", facts.port.container},
                {"protocol", to_string(facts.port.protocol)},
                {"steps", checks_to_json(steps)},
                {"stops_at", or_null(stop)},
                {"unseen", unseen},
                {"ok", ok}});
  } else {
    for (const auto& line : doctor::draw_walk(facts, steps, output_width())) print(line);
  }
  return ok ? 0 : 1;
}

int examine(const DoctorOptions& options, const Globals& globals) {
  if (!options.port.empty()) return walk(options, globals);
  const auto target = target_of(options);
  const auto checks =
      for_this_user(doctor::judge(doctor::gather(target, normalise(parse_ports(options.ports)), globals)));
  const bool ok = std::ranges::none_of(checks, [](const Check& check) {
    return check.status == Status::fail || check.status == Status::unseen;
  });
  if (globals.json) {
    print_json({{"checks", checks_to_json(checks)}, {"ok", ok}});
  } else {
    print_text(checks);
  }
  return ok ? 0 : 1;
}

}  // namespace

Action define_doctor(Arguments& arguments) {
  const auto options = std::make_shared<DoctorOptions>();
  arguments.values("PORT", options->ports, "also check what listens on these host ports");
  arguments.value("--network NAME", options->network, "check only this network of the engine");
  arguments.value("--container NAME", options->container, "check this container's network and hosts file");
  arguments.value("--port PORT", options->port,
                  "follow a packet from inside --container to this port, and report where it stops");
  arguments.value("--bridge INTERFACE", options->bridge, "check this bridge interface; needs no engine");
  arguments.footer(
      R"(Changes nothing. Exit code 0: everything could be seen and nothing failed; 1: a check failed (✗), or something
could not be seen (?), as without privilege. A warning (!) is not a failure.)");
  arguments.example("sudo tc-hostnet doctor");
  arguments.example("sudo tc-hostnet doctor 8088 --network web");
  arguments.example("sudo tc-hostnet doctor --container api --port 8088");
  return [options](const Globals& globals) { return examine(*options, globals); };
}

}  // namespace hostnet::cli
