// Writes requests, reads answers.
#include "engine/container_json.hpp"

#include "core/json.hpp"
#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <climits>

namespace hostnet::engine {
namespace {

using json::Value;

// Throws for text that is not UTF-8: JSON cannot carry it, and a replacement would mean something else.
std::string dump(const Value& tree) {
  if (auto text = tree.dump_exact()) return std::move(*text);
  throw Error(Errc::invalid_argument, "a container's description has text that is not UTF-8");
}

// An empty value means the engine's default, which JSON expresses by leaving the key out.
template <class Object, class Setting>
void set_unless_empty(Object&& object, const char* key, const Setting& value) {
  if (!value.empty()) object[key] = value;
}

void set_ports(Value& request, const std::vector<Publish>& ports) {
  for (const auto& port : ports) {
    if (port.container == 0) throw Error(Errc::invalid_argument, "a container has no port 0 to publish");
    const auto key = fmt::format("{}/{}", port.container, to_string(port.protocol));
    request["ExposedPorts"][key] = json::object();
    request["HostConfig"]["PortBindings"][key].push_back(
        {{"HostIp", port.host_ip}, {"HostPort", port.host == 0 ? "" : std::to_string(port.host)}});
  }
}

void set_network(Value& request, const ContainerSpec& spec) {
  set_unless_empty(request["HostConfig"], "NetworkMode", spec.network);
  if (spec.network_aliases.empty() && spec.mac.empty()) return;
  if (spec.network.empty())
    throw Error(Errc::invalid_argument, "network aliases and a MAC address need a network");
  const auto endpoint = request["NetworkingConfig"]["EndpointsConfig"][spec.network];
  set_unless_empty(endpoint, "Aliases", spec.network_aliases);
  // Docker before API 1.44 reads only the second, Podman the first. Engines that read both require them to be
  // equal.
  set_unless_empty(endpoint, "MacAddress", spec.mac);
  set_unless_empty(request, "MacAddress", spec.mac);
}

Value health_check(const HealthCheck& check) {
  auto test = json::array({"CMD"});
  for (const auto& word : check.command) test.push_back(word);
  const auto nanoseconds = [](std::chrono::milliseconds span) {
    constexpr auto longest = std::chrono::floor<std::chrono::milliseconds>(std::chrono::nanoseconds::max());
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::min(span, longest)).count();
  };
  return {{"Test", std::move(test)},
          {"Interval", nanoseconds(check.interval)},
          {"Timeout", nanoseconds(check.timeout)},
          {"Retries", check.retries}};
}

// A container has several names if others on the default network link to it: "/other/alias".
std::string own_name(const JsonReader& names) {
  std::string own;
  names.each_element([&](const JsonReader& entry) {
    auto name = entry.string();
    if (name.starts_with('/')) name.erase(0, 1);
    if (own.empty() && name.find('/') == std::string::npos) own = std::move(name);
  });
  return own;
}

int exit_code_or_zero(const JsonReader& object, const char* key) {
  const auto code = object.maybe(key);
  return code ? static_cast<int>(code->integer(INT_MIN, INT_MAX)) : 0;
}

}  // namespace

std::string create_request(const ContainerSpec& spec) {
  if (spec.image.empty()) throw Error(Errc::invalid_argument, "a container needs an image");
  Value request{{"Image", spec.image}};
  if (spec.entrypoint) request["Entrypoint"] = *spec.entrypoint;
  if (spec.command) request["Cmd"] = *spec.command;
  set_unless_empty(request, "Env", spec.environment);
  set_unless_empty(request, "Labels", spec.labels);
  if (spec.open_stdin) request["OpenStdin"] = true;
  if (spec.stdin_once) request["StdinOnce"] = true;
  if (spec.tty) request["Tty"] = true;
  if (spec.health_check) request["Healthcheck"] = health_check(*spec.health_check);

  request["HostConfig"] = json::object();
  const auto host_config = request["HostConfig"];
  set_unless_empty(host_config, "ExtraHosts", spec.extra_hosts);
  set_unless_empty(host_config, "CapDrop", spec.cap_drop);
  set_unless_empty(host_config, "CapAdd", spec.cap_add);
  set_unless_empty(host_config, "Sysctls", spec.sysctls);
  std::vector<std::string> security;
  if (spec.no_new_privileges) security.emplace_back("no-new-privileges");
  if (spec.no_selinux_label) security.emplace_back("label=disable");
  set_unless_empty(host_config, "SecurityOpt", security);
  if (spec.auto_remove) host_config["AutoRemove"] = true;
  if (spec.init) host_config["Init"] = true;
  set_unless_empty(request, "User", spec.user);
  for (const auto& bind : spec.binds)
    host_config["Mounts"].push_back({{"Type", "bind"}, {"Source", bind.source}, {"Target", bind.target}});
  if (spec.read_only_root) host_config["ReadonlyRootfs"] = true;
  if (spec.no_log) host_config["LogConfig"] = {{"Type", "none"}};
  set_unless_empty(host_config, "UsernsMode", spec.userns);
  if (spec.memory != 0) host_config["Memory"] = spec.memory;
  if (spec.most_processes != 0) host_config["PidsLimit"] = spec.most_processes;
  set_ports(request, spec.ports);
  set_network(request, spec);
  return dump(request);
}

std::string exec_request(const ExecSpec& spec) {
  if (spec.command.empty())
    throw Error(Errc::invalid_argument, "there is no command to execute in the container");
  Value request{{"Cmd", spec.command}, {"AttachStdout", true}, {"AttachStderr", true}};
  set_unless_empty(request, "User", spec.user);
  set_unless_empty(request, "Env", spec.environment);
  set_unless_empty(request, "WorkingDir", spec.working_dir);
  if (spec.input) request["AttachStdin"] = true;
  return dump(request);
}

std::string label_filter(const std::vector<std::string>& labels) { return dump({{"label", labels}}); }

std::string network_request(const std::string& name, const std::map<std::string, std::string>& labels) {
  if (name.empty()) throw Error(Errc::invalid_argument, "a network needs a name");
  // Without CheckDuplicate, Docker makes a second network of the same name.
  return dump({{"Name", name}, {"Driver", "bridge"}, {"CheckDuplicate", true}, {"Labels", labels}});
}

std::string connect_request(std::string_view container) {
  return dump({{"Container", std::string(container)}});
}

std::string parse_id(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  return id_of(JsonReader(tree).at("Id"));
}

std::vector<ContainerSummary> parse_container_list(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::vector<ContainerSummary> containers;
  JsonReader(tree).each_element([&](const JsonReader& entry) {
    ContainerSummary container;
    container.id = id_of(entry.at("Id"));
    if (const auto names = entry.maybe("Names")) container.name = own_name(*names);
    container.image = entry.string_or_empty("Image");
    container.state = entry.string_or_empty("State");
    container.labels = entry.strings_or_empty("Labels");
    containers.push_back(std::move(container));
  });
  return containers;
}

ExecState parse_exec_state(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader exec(tree);
  ExecState state;
  state.running = exec.at("Running").boolean();
  if (!state.running) state.exit_code = exit_code_or_zero(exec, "ExitCode");
  return state;
}

int parse_exit_code(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader answer(tree);
  if (const auto error = answer.maybe("Error"))
    if (const auto words = error->string_or_empty("Message"); !words.empty())
      throw Error(Errc::engine_error, one_line(words, 400));
  return static_cast<int>(answer.at("StatusCode").integer(INT_MIN, INT_MAX));
}

}  // namespace hostnet::engine
