// The sidecar and its forwards in words, and as JSON.
#include "path/ssh/dry_run.hpp"

#include "core/join.hpp"
#include "core/strings.hpp"
#include "engine/containers.hpp"
#include "lease/checks.hpp"
#include "lease/port_json.hpp"
#include "path/sidecar/plan.hpp"
#include "path/ssh/ssh.hpp"
#include "path/ssh/target.hpp"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kTunnelDryRunSpan{30};

struct TunnelPlan {
  std::vector<HostPort> ports;
  SshTarget target;
  std::string image;
  bool image_is_here = false;
  std::vector<std::string> sources;  ///< Empty: every container on the network.
  std::vector<std::string> written;  ///< The names of the containers whose hosts file gets the alias.
};

// Its id, if it has gone meanwhile.
std::string name_of_container(engine::Client& client, const std::string& id, Deadline deadline) {
  try {
    return client.container(id, deadline).name;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return id.substr(0, 12);
  }
}

TunnelPlan plan_tunnel(engine::Client& client, const ExposeRequest& request, Deadline deadline) {
  auto ports = checked_ports(request);
  for (const auto& port : ports) check_port_for_ssh(port);
  auto target = resolve_for_ssh(client, request.target, request.write_alias, deadline);
  std::vector<std::string> sources;
  for (const auto source : target.sources.value_or(std::vector<Ip>{})) sources.push_back(source.to_string());
  std::vector<std::string> written;
  for (const auto& id : target.alias_in) written.push_back(name_of_container(client, id, deadline));
  auto image = sidecar_image();
  const bool is_here = engine::Containers(client).has_image(image, deadline);
  return {std::move(ports), std::move(target),  std::move(image),
          is_here,          std::move(sources), std::move(written)};
}

json::Value tunnel_plan_to_json(const TunnelPlan& plan, const CommandContainer* run) {
  json::Value object{{"via", kSshPath.name},
                     {"image", plan.image},
                     {"image_present", plan.image_is_here},
                     {"network", plan.target.network.name},
                     {"direct", plan.target.known.direct},
                     {"sources", plan.sources},
                     {"ports", to_json(plan.ports)},
                     {"alias_in", plan.target.alias_in},
                     {"alias_by_dns", plan.target.alias_by_dns}};
  if (run != nullptr) object["run"] = {{"image", run->image}, {"command", run->command}};
  return object;
}

std::vector<std::string> tunnel_plan_lines(const TunnelPlan& plan, const std::string& published,
                                           const CommandContainer* run) {
  const auto& target = plan.target;
  std::vector<std::string> lines;
  if (!plan.image_is_here) lines.push_back(fmt::format("# pull image {}, which is not here", plan.image));
  lines.push_back(fmt::format("# create and start a container from {} on network {}{}", plan.image,
                              target.network.name,
                              published.empty() ? "" : ", its port 22 published on " + published));
  if (target.alias_by_dns) lines.push_back(fmt::format("# its name on that network is {}", kAlias));
  const auto whom = run != nullptr         ? "the command's container alone"
                    : plan.sources.empty() ? "every container on the network"
                                           : join(plan.sources, ", ");
  for (const auto& port : plan.ports)
    lines.push_back(fmt::format("# forward its port {} to {}, for {}", port.container, port.service(), whom));
  for (const auto& name : plan.written)
    lines.push_back(
        fmt::format("# write its address and {} into the hosts file of container {}", kAlias, name));
  if (run != nullptr)
    lines.push_back(fmt::format("# create and start a container from {} on network {}, and run {}",
                                run->image, target.network.name,
                                run->command.empty() ? "the image's own command" : join(run->command, " ")));
  return lines;
}

}  // namespace

namespace {

// With `run`, for that container alone, which is on the request's network.
DryRun dry_run_of_tunnel(const ExposeRequest& request, const ExposerOptions& options,
                         const CommandContainer* run) {
  engine::Client client(engine::Address::find(options.engine));
  const auto plan = plan_tunnel(client, request, Deadline::after(kTunnelDryRunSpan));
  const auto published = provision(plan.target.known, client.address(), plan.target.network).publish_on;
  return {.lines = tunnel_plan_lines(plan, published, run), .object = tunnel_plan_to_json(plan, run)};
}

}  // namespace

DryRun ssh_dry_run(const ExposeRequest& request, const ExposerOptions& options) {
  return dry_run_of_tunnel(request, options, nullptr);
}

DryRun ssh_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                         const CommandContainer& container) {
  return dry_run_of_tunnel(
      {.target = Target::network(request.network), .ports = request.ports, .write_alias = false}, options,
      &container);
}

}  // namespace hostnet::exposer
