// Takes the values that we use from an engine's answers, and checks their form.
//
// Docker leaves out the bridge's interface name unless the user chose it: its bridge driver then uses "br-"
// and the first 12 digits of the network's id. Podman's compatible answer never has it; see
// parse_libpod_bridges().
#include "engine/parse.hpp"

#include "core/printable.hpp"
#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <climits>

namespace hostnet::engine {
namespace {

// An IPv4 address; nullopt for "" and for IPv6. Docker before 1.13 wrote a gateway with its prefix length.
std::optional<Ipv4> ipv4_or_none(const JsonReader& object, std::string_view key) {
  const auto member = object.maybe(key);
  if (!member) return std::nullopt;
  const auto text = member->string();
  if (text.empty() || text.find(':') != std::string::npos) return std::nullopt;
  const auto address = Ipv4::parse(std::string_view(text).substr(0, text.find('/')));
  if (!address) member->reject(quote(text), "an IP address");
  return address;
}

std::optional<Ip> ipv6_or_none(const JsonReader& object, std::string_view key) {
  const auto member = object.maybe(key);
  if (!member) return std::nullopt;
  const auto text = member->string();
  if (text.empty()) return std::nullopt;
  const auto address = Ip::parse(std::string_view(text).substr(0, text.find('/')));
  if (!address) member->reject(quote(text), "an IP address");
  return address;
}

// A swarm's networks tell whether containers may join them; all others, which may leave it false, can be
// joined.
bool is_attachable(const JsonReader& network) {
  if (network.string_or_empty("Scope") != "swarm") return true;
  const auto member = network.maybe("Attachable");
  return member && member->boolean();
}

std::optional<Ipv4> configured_gateway(const JsonReader& network) {
  const auto ipam = network.maybe("IPAM");
  const auto config = ipam ? ipam->maybe("Config") : std::nullopt;
  std::optional<Ipv4> gateway;
  if (config)
    config->each_element([&](const JsonReader& pool) {
      const auto here = ipv4_or_none(pool, "Gateway");
      if (!gateway) gateway = here;
    });
  return gateway;
}

std::vector<Subnet> configured_subnets(const JsonReader& network) {
  const auto ipam = network.maybe("IPAM");
  const auto config = ipam ? ipam->maybe("Config") : std::nullopt;
  std::vector<Subnet> subnets;
  if (config)
    config->each_element([&](const JsonReader& pool) {
      if (const auto subnet = Subnet::parse(pool.string_or_empty("Subnet"))) subnets.push_back(*subnet);
    });
  return subnets;
}

bool has_ipv4(const JsonReader& network) {
  const auto ipam = network.maybe("IPAM");
  const auto config = ipam ? ipam->maybe("Config") : std::nullopt;
  bool ipv4 = false;
  bool ipv6 = false;
  if (config)
    config->each_element([&](const JsonReader& pool) {
      const auto subnet = pool.string_or_empty("Subnet");
      (subnet.find(':') == std::string::npos ? ipv4 : ipv6) = true;
    });
  return ipv4 || !ipv6;
}

std::string docker_bridge(const JsonReader& network, const std::string& name, const std::string& id) {
  if (const auto options = network.maybe("Options"))
    if (auto chosen = options->string_or_empty("com.docker.network.bridge.name"); !chosen.empty())
      return chosen;
  return name == "bridge" ? "docker0" : "br-" + id.substr(0, 12);
}

// Podman also lists containers that were only created. They have no interface, and hence none of these.
bool attached(const JsonReader& container) {
  return !container.string_or_empty("IPv4Address").empty() ||
         !container.string_or_empty("IPv6Address").empty() ||
         !container.string_or_empty("MacAddress").empty();
}

// Swarm gives its networks ids of 25 digits to base 36; all others have 64 hexadecimal ones.
std::string network_id_of(const JsonReader& network) {
  constexpr std::size_t length = 25;
  const auto member = network.at("Id");
  auto id = member.string();
  const bool is_swarms = network.string_or_empty("Scope") == "swarm" && id.size() == length &&
                         id.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz") == std::string::npos;
  return is_swarms ? id : id_of(member);
}

Network read_network(const JsonReader& json) {
  Network network;
  network.id = network_id_of(json);
  network.name = json.at("Name").string();
  network.driver = json.at("Driver").string();
  if (const auto internal = json.maybe("Internal")) network.internal = internal->boolean();
  if (const auto ingress = json.maybe("Ingress")) network.ingress = ingress->boolean();
  network.attachable = is_attachable(json);
  if (network.driver == "bridge") network.bridge = docker_bridge(json, network.name, network.id);
  network.dns = network.name != "bridge";  // only Docker's default network has none
  network.ipv4 = has_ipv4(json);
  network.gateway = configured_gateway(json);
  network.subnets = configured_subnets(json);
  if (const auto containers = json.maybe("Containers"))
    containers->each_member([&](const std::string& id, const JsonReader& container) {
      // Docker lists endpoints under removal as "ep-…", which is no container id.
      if (attached(container) && looks_like_id(id)) network.containers.push_back(id);
    });
  return network;
}

PublishedPort published_port(const std::string& key, const JsonReader& binding) {
  PublishedPort port;
  const auto slash = key.find('/');
  const auto number = parse_number(std::string_view(key).substr(0, slash), UINT16_MAX);
  if (!number || *number == 0 || slash == key.size() - 1)
    binding.reject("of port " + quote(key), "of a number and a protocol");
  port.container = static_cast<std::uint16_t>(*number);
  port.protocol = slash == std::string::npos ? "tcp" : key.substr(slash + 1);
  port.host_ip = binding.string_or_empty("HostIp");
  const auto on_host = binding.at("HostPort");
  const auto host = parse_number(on_host.string(), UINT16_MAX);
  if (!host || *host == 0) on_host.reject(quote(on_host.string()), "a port");
  port.host = static_cast<std::uint16_t>(*host);
  return port;
}

// Null marks a port that the image exposes but that is not published.
std::vector<PublishedPort> published_ports(const JsonReader& network_settings) {
  std::vector<PublishedPort> ports;
  if (const auto all = network_settings.maybe("Ports"))
    all->each_member([&](const std::string& key, const JsonReader&) {
      if (const auto bindings = all->maybe(key))
        bindings->each_element(
            [&](const JsonReader& binding) { ports.push_back(published_port(key, binding)); });
    });
  return ports;
}

}  // namespace

std::vector<Ip> Endpoint::addresses() const {
  std::vector<Ip> out;
  if (address) out.emplace_back(*address);
  if (address6) out.push_back(*address6);
  return out;
}

bool Version::is_podman() const { return product == "Podman Engine"; }

Version parse_version(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader json(tree);
  Version version;
  version.version = json.at("Version").string();
  version.api_version = json.at("ApiVersion").string();
  if (const auto platform = json.maybe("Platform")) version.product = platform->string_or_empty("Name");
  if (version.product.empty())
    version.product = "Docker Engine";  // Debian's build leaves Platform.Name empty
  if (const auto components = json.maybe("Components"))
    components->each_element([&](const JsonReader& component) {
      if (auto name = component.at("Name").string(); name == "Podman Engine")
        version.product = std::move(name);
    });
  return version;
}

bool parse_is_rootless(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader json(tree);
  // Docker reports it in SecurityOptions, Podman in a field of its own.
  const auto said = json.maybe("Rootless");
  bool rootless = said && said->boolean();
  if (const auto options = json.maybe("SecurityOptions"))
    options->each_element([&](const JsonReader& option) { rootless |= option.string() == "name=rootless"; });
  return rootless;
}

bool parse_has_selinux(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  bool found = false;
  if (const auto options = JsonReader(tree).maybe("SecurityOptions"))
    options->each_element([&](const JsonReader& option) { found |= option.string() == "name=selinux"; });
  return found;
}

Network parse_network(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  return read_network(JsonReader(tree));
}

std::vector<Network> parse_networks(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::vector<Network> networks;
  JsonReader(tree).each_element([&](const JsonReader& json) { networks.push_back(read_network(json)); });
  return networks;
}

std::map<std::string, LibpodBridge> parse_libpod_bridges(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::map<std::string, LibpodBridge> bridges;
  const auto add = [&](const JsonReader& network) {
    LibpodBridge bridge{.interface = network.string_or_empty("network_interface")};
    if (const auto dns = network.maybe("dns_enabled")) bridge.dns = dns->boolean();
    if (network.at("driver").string() == "bridge")
      bridges.emplace(network.at("id").string(), std::move(bridge));
  };
  if (const JsonReader json(tree); json.is_array()) {
    json.each_element(add);
  } else {
    add(json);
  }
  return bridges;
}

Container parse_container(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader json(tree);
  Container container;
  container.id = id_of(json.at("Id"));
  container.name = json.at("Name").string();
  if (container.name.starts_with('/')) container.name.erase(0, 1);

  const auto state = json.at("State");
  const auto pid = static_cast<pid_t>(state.at("Pid").integer(0, INT_MAX));
  container.state = state.string_or_empty("Status");
  // Between two restarts Docker reports Running with pid 0: the container has no process. Podman reports not
  // running while it stops or pauses a container, which still has a process; a stopping one may still
  // send and receive.
  const bool stopping_or_paused = container.state == "stopping" || container.state == "paused";
  container.running = (state.at("Running").boolean() || stopping_or_paused) && pid > 0;
  // Podman's init makes the first process, with its namespaces, before it runs the container's program.
  const bool initialised = container.state == "created" || container.state == "initialized";
  if (container.running || initialised) container.pid = pid;
  if (const auto code = state.maybe("ExitCode"))
    container.exit_code = static_cast<int>(code->integer(INT_MIN, INT_MAX));

  // Without a health check, Podman reports "" and Docker "none".
  if (const auto health = state.maybe("Health")) container.health = health->string_or_empty("Status");
  if (container.health == "none") container.health.clear();

  if (const auto config = json.maybe("Config")) {
    container.image = config->string_or_empty("Image");
    container.labels = config->strings_or_empty("Labels");
    container.stop_signal = config->string_or_empty("StopSignal");
    container.hostname = config->string_or_empty("Hostname");
    if (const auto exposed = config->maybe("ExposedPorts"))
      exposed->each_member([&](const std::string& name, const JsonReader&) {
        const auto slash = name.find('/');
        const auto port = parse_number(name.substr(0, slash), 65'535);
        if (port && (slash == std::string::npos || name.substr(slash) == "/tcp"))
          container.exposed_ports.push_back(static_cast<std::uint16_t>(*port));
      });
  }

  const auto host_config = json.at("HostConfig");
  container.network_mode = host_config.at("NetworkMode").string();
  container.pid_mode = host_config.string_or_empty("PidMode");
  if (const auto hosts = host_config.maybe("ExtraHosts"))
    hosts->each_element([&](const JsonReader& entry) { container.extra_hosts.push_back(entry.string()); });
  // Drops a relative path, and one with a NUL byte, which would end it early.
  container.hosts_path = json.string_or_empty("HostsPath");
  if (!container.hosts_path.starts_with('/') || container.hosts_path.find('\0') != std::string::npos)
    container.hosts_path.clear();
  container.image_id = json.string_or_empty("Image");
  if (const auto mounts = json.maybe("Mounts"))
    mounts->each_element([&](const JsonReader& mount) {
      if (mount.string_or_empty("Destination") == "/etc/hosts") container.hosts_mounted = true;
    });

  const auto network_settings = json.at("NetworkSettings");
  container.ports = published_ports(network_settings);
  if (const auto networks = network_settings.maybe("Networks"))
    networks->each_member([&](const std::string& name, const JsonReader& endpoint) {
      container.endpoints.push_back(
          {name, endpoint.string_or_empty("NetworkID"), ipv4_or_none(endpoint, "IPAddress"),
           ipv4_or_none(endpoint, "Gateway"), endpoint.string_or_empty("MacAddress"),
           ipv6_or_none(endpoint, "GlobalIPv6Address"),
           endpoint.maybe("GwPriority") ? endpoint.at("GwPriority").number<std::int64_t>() : 0});
    });
  return container;
}

std::map<std::string, std::string> parse_image_labels(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const auto config = JsonReader(tree).maybe("Config");
  return config ? config->strings_or_empty("Labels") : std::map<std::string, std::string>{};
}

std::string id_of(const JsonReader& value) {
  auto id = value.string();
  if (!looks_like_id(id)) value.reject(id.empty() ? "empty" : quote(id), "an id");
  return id;
}

std::string parse_error_cause(std::string_view body) {
  try {
    const auto tree = parse_json(body);
    return JsonReader(tree).string_or_empty("cause");
  } catch (const Error&) {
    return {};
  }
}

std::string one_line(std::string_view text, std::size_t limit) {
  std::string line(trim(text));
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return printable(line, limit);
}

std::string parse_error_message(std::string_view body) {
  constexpr std::size_t longest = 400;
  try {
    const auto tree = parse_json(body);
    return one_line(JsonReader(tree).at("message").string(), longest);
  } catch (const Error&) {
    return one_line(body, longest);
  }
}

}  // namespace hostnet::engine
