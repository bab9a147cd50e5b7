// Prints engine::Client's view of a real engine as JSON, and runs engine/alias.hpp on real containers, so
// that test_engine.py can compare both with docker's and podman's own output.
//
//   engine_dump SOCKET ping | version | networks | host-gateway | network NAME | container NAME
//   engine_dump SOCKET alias-write CONTAINER ADDRESS LEASE      prints the record and the result
//   engine_dump SOCKET alias-remove CONTAINER-ID PID START HOSTS-PATH DEVICE INODE LEASE
#include "core/strings.hpp"
#include "e2e/engine_tool.hpp"
#include "engine/alias.hpp"

namespace {

using namespace hostnet;
using test::Arguments;

constexpr const char* kAlias = "host.testcontainers.internal";

Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

json::Value of(const std::optional<Ipv4>& address) {
  return address ? json::Value(address->to_string()) : json::Value();
}

json::Value of(const engine::Network& network) {
  return {{"id", network.id},
          {"name", network.name},
          {"driver", network.driver},
          {"internal", network.internal},
          {"bridge", network.bridge},
          {"gateway", of(network.gateway)},
          {"containers", network.containers}};
}

json::Value of(const engine::Container& container) {
  auto endpoints = json::object();
  for (const auto& endpoint : container.endpoints)
    endpoints[endpoint.network] = {
        {"id", endpoint.network_id}, {"address", of(endpoint.address)}, {"gateway", of(endpoint.gateway)}};
  auto ports = json::array();
  for (const auto& port : container.ports)
    ports.push_back(json::array({port.container, port.protocol, port.host_ip, port.host}));
  return {{"id", container.id},
          {"name", container.name},
          {"image", container.image},
          {"state", container.state},
          {"exit_code", container.exit_code},
          {"labels", container.labels},
          {"ports", ports},
          {"running", container.running},
          {"pid", container.pid},
          {"network_mode", container.network_mode},
          {"hosts_path", container.hosts_path},
          {"extra_hosts", container.extra_hosts},
          {"endpoints", endpoints}};
}

json::Value write_alias(engine::Client& client, const Arguments& arguments) {
  const auto record = engine::alias_record(client.container(arguments.at(0), soon()));
  const auto result =
      engine::write_alias(record, kAlias, Ipv4::parse(arguments.at(1)).value(), arguments.at(2));
  return {{"container", record.container},
          {"pid", record.pid},
          {"pid_start", record.pid_start},
          {"hosts_path", record.hosts_path},
          {"device", record.file.device},
          {"inode", record.file.inode},
          {"result", result == engine::AliasResult::written ? "written" : "already_there"}};
}

json::Value remove_alias(const Arguments& arguments) {
  const auto number = [&](std::size_t i) { return parse_number(arguments.at(i), UINT64_MAX).value(); };
  const engine::AliasRecord record{.container = arguments.at(0),
                                   .pid = static_cast<pid_t>(number(1)),
                                   .pid_start = number(2),
                                   .hosts_path = arguments.at(3),
                                   .file = {.device = number(4), .inode = number(5)}};
  engine::remove_alias(record, arguments.at(6));
  return json::object();
}

json::Value run(engine::Client& client, const std::string& command, const Arguments& arguments) {
  if (command == "ping") return client.ping(soon()), json::object();
  if (command == "version") {
    const auto version = client.version(soon());
    return {{"product", version.product},
            {"version", version.version},
            {"api_version", version.api_version},
            {"is_podman", version.is_podman()}};
  }
  if (command == "networks") {
    auto all = json::object();
    for (const auto& network : client.networks(soon())) all[network.name] = of(network);
    return all;
  }
  if (command == "host-gateway") return of(client.host_gateway(soon()));
  if (command == "network") return of(client.network(arguments.at(0), soon()));
  if (command == "container") return of(client.container(arguments.at(0), soon()));
  if (command == "alias-write") return write_alias(client, arguments);
  if (command == "alias-remove") return remove_alias(arguments);
  throw Error(Errc::invalid_argument, "unknown command " + command);
}

}  // namespace

int main(int argc, char** argv) { return test::engine_tool(argc, argv, run); }
