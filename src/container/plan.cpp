// The order of the first checks is part of the interface: for a request with two faults, every library of the
// family reports the same one.
#include "container/plan.hpp"

#include "container/condition.hpp"
#include "core/strings.hpp"
#include "engine/container_json.hpp"
#include "hostnet/error.hpp"
#include "path/paths.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>

namespace hostnet::container {
namespace {

[[noreturn]] void refuse(const std::string& why, std::string hint = {}) {
  throw Error(Errc::invalid_argument, why, std::move(hint));
}

[[noreturn]] void refuse_exposure(std::string_view why, std::string hint) {
  refuse(fmt::format("host port exposure: {}", why), std::move(hint));
}

void check_host_ports(const ContainerRequest& request) {
  std::vector<HostPort> ports;
  try {
    ports = normalise(request.host_ports);
  } catch (const Error& error) {
    throw error.in_context("host port exposure");
  }
  if (ports.empty()) return;
  const auto order = exposer::order_of(request.exposer);
  for (const auto& port : ports)
    if (const auto fault = order.empty()
                               ? exposer::port_fault_of(exposer::paths(), port, Target::container("new"))
                               : order.front()->port_fault(port.container);
        !fault.empty())
      refuse_exposure(fmt::format("{}: {}", port.to_string(), fault),
                      "choose another container port: HostPort{host, container}");
  for (const auto& [name, address] : request.hosts)
    if (::strcasecmp(name.c_str(), kAlias) == 0)
      throw Error(Errc::conflict,
                  fmt::format("host port exposure: {} is already defined, as {}", kAlias, quote(address)),
                  "leave out with_host() for that name, or the exposed host ports");
  const auto& network = request.network;
  if (network == "host")
    refuse_exposure("a container on the host's network reaches 127.0.0.1 as it is",
                    "dial 127.0.0.1 in the container, or leave out with_network(\"host\")");
  if (network.starts_with("container:"))
    refuse_exposure("a container that shares another's network has no address of its own",
                    "expose the ports to that other container");
  if (is_without_network(network) && std::ranges::none_of(order, &exposer::PathDriver::needs_no_network))
    refuse_exposure("a container without a network reaches nothing",
                    "name a bridge network, or ask for the relay path: with_exposer(Path::relay)");
  if (request.reuse)
    refuse_exposure("a reused container outlives the program, and exposures do not",
                    "leave out with_reuse()");
}

bool is_published(const ContainerRequest& request, ContainerPort port) {
  return std::ranges::find(request.exposed, port) != request.exposed.end() ||
         std::ranges::find(request.mapped, port, &ContainerRequest::Mapping::container) !=
             request.mapped.end();
}

struct CheckCondition {
  const ContainerRequest& request;

  void operator()(const WaitFor::Condition::Message& message) const {
    if (message.text.empty() || message.times == 0) refuse("a message to wait for is empty");
  }
  void operator()(const WaitFor::Condition::Http& http) const {
    if (!http.path.starts_with('/') || http.path.find_first_of(" \r\n") != std::string::npos)
      refuse(fmt::format("{} is not a URL path", quote(http.path)));
    if (http.port.protocol != Protocol::tcp || !is_published(request, http.port))
      throw Error(Errc::port_not_exposed,
                  fmt::format("port {} is waited for but not exposed", http.port.to_string()),
                  "add with_exposed_port()");
  }
  void operator()(const WaitFor::Condition::Listening& listening) const {
    if (listening.port.number == 0 || listening.port.protocol != Protocol::tcp)
      refuse(fmt::format("cannot wait for {}: only for a TCP port", listening.port.to_string()));
  }
  template <class Other>
  void operator()(const Other&) const {}
};

void check_the_rest(const ContainerRequest& request) {
  for (const auto& port : request.exposed)
    if (port.number == 0) refuse("an exposed port must be greater than zero");
  for (const auto& mapping : request.mapped)
    if (mapping.container.number == 0) refuse("a mapped port must be greater than zero");
  for (const auto& [name, value] : request.environment)
    if (name.empty() || name.find('=') != std::string::npos)
      refuse(fmt::format("{} is not a name of an environment variable", quote(name)));
  for (const auto& [name, value] : request.labels)
    if (name.empty() || name.starts_with(exposer::kFamilyLabel))
      refuse(fmt::format("label {} is the library's own", quote(name)));
  for (const auto& [name, address] : request.hosts)
    if (name.empty() || address.empty() || name.find(':') != std::string::npos)
      refuse(fmt::format("{} is not an entry of a hosts file", quote(name + " " + address)));
  for (const auto& copy : request.copies)
    if (!copy.target.starts_with('/') || copy.target.ends_with('/'))
      refuse(fmt::format("{} is not the absolute path of a file", quote(copy.target)));
  if (request.startup_timeout <= std::chrono::milliseconds{0}) refuse("a startup timeout must be positive");
  for (const auto& condition : request.wait_for)
    std::visit(CheckCondition{request}, condition.condition().kind);
  // Throws for values that cannot be sent to the engine.
  engine::create_request(spec_of(request, {}));
}

bool is_mode(const std::string& network) {
  return network == "host" || network == "none" || network.starts_with("container:");
}

}  // namespace

void check(const ContainerRequest& request) {
  check_host_ports(request);
  check_the_rest(request);
}

engine::ContainerSpec spec_of(const ContainerRequest& request, const Surroundings& surroundings) {
  engine::ContainerSpec spec;
  spec.name = request.name;
  spec.image = request.image;
  spec.entrypoint = request.entrypoint;
  spec.command = request.command;
  for (const auto& [name, value] : request.environment) spec.environment.push_back(name + "=" + value);
  spec.labels = request.labels;
  for (const auto& [name, value] : surroundings.labels) spec.labels[name] = value;
  spec.network = surroundings.network;
  spec.mac = surroundings.mac;
  for (const auto& [name, address] : request.hosts)
    spec.extra_hosts.push_back(fmt::format("{}:{}", name, address));
  if (!surroundings.alias_address.empty())
    spec.extra_hosts.push_back(fmt::format("{}:{}", kAlias, surroundings.alias_address));
  const auto publish = [&spec](ContainerPort port, std::uint16_t host) {
    engine::Publish one;
    one.container = port.number;
    one.host = host;
    one.protocol = port.protocol;
    spec.ports.push_back(one);
  };
  for (const auto& mapping : request.mapped) publish(mapping.container, mapping.host);
  for (const auto& port : request.exposed)
    if (std::ranges::find(request.mapped, port, &ContainerRequest::Mapping::container) ==
        request.mapped.end())
      publish(port, 0);
  if (request.health_check) {
    engine::HealthCheck health;
    health.command = request.health_check->command;
    health.interval = request.health_check->interval;
    spec.health_check = std::move(health);
  }
  return spec;
}

bool is_without_network(std::string_view network) { return network == "none"; }

std::string network_name(const std::string& wanted, bool is_podman, bool must_be_named) {
  if (wanted.empty() && !must_be_named) return {};
  if (wanted.empty() || wanted == "bridge" || wanted == "default") return is_podman ? "podman" : "bridge";
  return wanted;
}

bool is_user_network(const std::string& name, bool is_podman) {
  return !name.empty() && !is_mode(name) && name != (is_podman ? "podman" : "bridge");
}

}  // namespace hostnet::container
