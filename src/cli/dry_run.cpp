// Prints plans.
#include "cli/dry_run.hpp"

#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "lease/checks.hpp"
#include "path/native/lease_store.hpp"
#include "path/native/native.hpp"
#include "path/native/transition.hpp"
#include "path/select.hpp"
#include "path/sidecar/plan.hpp"
#include "path/ssh/target.hpp"

#include <fmt/format.h>

namespace hostnet::cli {
namespace {

// The firewall that the rules would go into. A caller who may not read the leases gets the choice for an
// empty lease store.
firewall::FirewallChoice firewall_for(Firewall wanted, const Globals& globals) {
  exposer::LeaseStore store(state::runtime_dir(globals.runtime_dir), wanted);
  state::Snapshot held;
  try {
    held = store.peek();
  } catch (const Error& error) {
    if (error.code() != Errc::not_authorised) throw;
  }
  return store.firewall_for(held);
}

int dry_run_native(const ExposeRequest& request, Firewall firewall, const Globals& globals) {
  auto prepared =
      exposer::prepare(std::span(&request, 1), globals.engine, Deadline::after(std::chrono::seconds{30}));
  for (auto& lease : prepared.leases) lease.id = "dry-run";
  return print_plan({prepared.bridges, std::move(prepared.leases)}, firewall, globals);
}

// With `run`: the ports serve only the container of that command.
int dry_run_ssh(engine::Client& client, const ExposeRequest& request, const Globals& globals,
                const ImageRun* run = nullptr) {
  const auto deadline = Deadline::after(std::chrono::seconds{30});
  const auto ports = exposer::checked_ports(request);
  for (const auto& port : ports) exposer::check_port_for_ssh(port);
  const auto target = exposer::resolve_for_ssh(client, request.target, request.write_alias, deadline);
  const auto published = exposer::publish_on(target, client.address());
  const auto image = exposer::sidecar_image();
  std::string sources;
  for (const auto source : target.sources.value_or(std::vector<Ipv4>{}))
    sources += (sources.empty() ? "" : ", ") + source.to_string();
  if (globals.json) {
    auto list = json::array();
    for (const auto& port : ports) list.push_back(port.to_string());
    json::Value object{{"via", "ssh"},
                       {"image", image},
                       {"network", target.network.name},
                       {"direct", target.direct},
                       {"sources", sources},
                       {"ports", std::move(list)},
                       {"alias_in", target.alias_in},
                       {"alias_by_dns", target.alias_by_dns}};
    if (run != nullptr) object["run"] = {{"image", run->image}, {"command", run->command}};
    print_json(std::move(object));
    return 0;
  }
  print(fmt::format("# create and start a container from {} on network {}{}", image, target.network.name,
                    published.empty() ? "" : ", its port 22 published on " + published));
  if (target.alias_by_dns) print(fmt::format("# its name on that network is {}", kAlias));
  const std::string_view whom = run != nullptr    ? "the command's container alone"
                                : sources.empty() ? "every container on the network"
                                                  : std::string_view(sources);
  for (const auto& port : ports)
    print(fmt::format("# forward its port {} to {}, for {}", port.container, port.service(), whom));
  for (const auto& container : target.alias_in)
    print(fmt::format("# write its address and {} into the hosts file of container {}", kAlias,
                      container.substr(0, 12)));
  if (run != nullptr)
    print(fmt::format(
        "# create and start a container from {} on network {}, and run {}", run->image, target.network.name,
        run->command.empty() ? "the image's own command" : fmt::format("{}", fmt::join(run->command, " "))));
  return 0;
}

}  // namespace

int print_plan(state::Snapshot wanted, Firewall firewall, const Globals& globals, const Around& around) {
  const auto choice = firewall_for(firewall, globals);
  wanted.firewall = choice.kind;
  const auto ruleset = exposer::ruleset_of(wanted);
  auto steps = exposer::transition({}, wanted);
  std::erase_if(steps, [](const exposer::Step& step) {
    const auto* const bindings = std::get_if<exposer::ApplyBindings>(&step);
    return bindings != nullptr && bindings->plan.empty();
  });
  if (globals.json) {
    json::Value rules = json::object();
    for (const auto& plan : ruleset.tables) rules[to_string(plan.table)] = to_text(choice.kind, plan);
    if (const auto bindings = exposer::bindings_of(wanted); !bindings.empty())
      rules["pins"] = firewall::nft::bindings_to_nft(bindings);
    auto list = json::array();
    if (!around.first.empty()) list.push_back(around.first);
    for (const auto& step : steps) list.push_back(exposer::describe(step));
    if (!around.last.empty()) list.push_back(around.last);
    print_json({{"firewall", to_string(choice.kind)},
                {"lease", to_json(wanted.leases.front(), wanted)},
                {"steps", std::move(list)},
                {"rules", std::move(rules)}});
    return 0;
  }
  print(fmt::format("# {}: {}", to_string(choice.kind), choice.reason));
  if (!around.first.empty()) print("# " + around.first);
  for (const auto& step : steps) {
    print("# " + exposer::describe(step));
    if (const auto* const table = std::get_if<exposer::ApplyTable>(&step))
      print_lines(to_text(choice.kind, table->plan));
    if (const auto* const bindings = std::get_if<exposer::ApplyBindings>(&step))
      print_lines(firewall::nft::bindings_to_nft(bindings->plan));
  }
  for (const auto& alias : wanted.leases.front().aliases)
    print(fmt::format("# write {} {} into the hosts file of container {}",
                      wanted.leases.front().gateways.front().to_string(), kAlias,
                      alias.container.substr(0, 12)));
  if (!around.last.empty()) print("# " + around.last);
  return 0;
}

int dry_run_image(engine::Client& client, const ImageRun& wanted, const Globals& globals) {
  const ExposeRequest request{
      .target = Target::network(wanted.network), .ports = wanted.ports, .write_alias = false};
  return dry_run_ssh(client, request, globals, &wanted);
}

// Shows the plan of the path that expose would take. Without a usable path it shows the native rules, which
// need no privilege to compute.
int dry_run(const ExposeRequest& request, Path path, Firewall firewall, const Globals& globals) {
  const auto chosen = path != Path::automatic
                          ? path
                          : exposer::choose(path, exposer::probe_paths(globals.engine)).path.value_or(path);
  const auto* const driver = exposer::driver_of(chosen);
  if (driver != nullptr && driver->by_sidecar &&
      (path != Path::automatic || exposer::may_serve(*driver, request.target))) {
    engine::Client client(engine::Address::find(globals.engine));
    return dry_run_ssh(client, request, globals);
  }
  return dry_run_native(request, firewall, globals);
}

}  // namespace hostnet::cli
