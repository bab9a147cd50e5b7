// Reads the engine's answer.
#include "engine/swarm.hpp"

#include "engine/json_reader.hpp"

#include <cstdint>

namespace hostnet::engine {

SwarmNode parse_swarm_node(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  SwarmNode node;
  const auto swarm = JsonReader(tree).maybe("Swarm");
  if (!swarm || swarm->string_or_empty("LocalNodeState") != "active") return node;
  node.is_member = true;
  node.address = swarm->string_or_empty("NodeAddr");
  if (const auto control = swarm->maybe("ControlAvailable")) node.is_manager = control->boolean();
  if (const auto nodes = swarm->maybe("Nodes")) node.is_alone = nodes->number<std::uint32_t>() == 1;
  if (const auto managers = swarm->maybe("RemoteManagers"))
    managers->each_element([&](const JsonReader& one) { node.managers.push_back(one.at("Addr").string()); });
  return node;
}

std::vector<OverlayEnd> parse_overlay_ends(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::vector<OverlayEnd> ends;
  if (const auto services = JsonReader(tree).maybe("Services"))
    services->each_member([&](const std::string&, const JsonReader& service) {
      if (const auto tasks = service.maybe("Tasks"))
        tasks->each_element([&](const JsonReader& task) {
          const auto info = task.strings_or_empty("Info");
          const auto node = info.find("Host IP");
          ends.push_back({task.string_or_empty("Name"), node == info.end() ? "" : node->second});
        });
    });
  return ends;
}

std::string_view host_of_manager(std::string_view address) {
  const auto colon = address.rfind(':');
  const bool has_port = colon != std::string_view::npos && !address.substr(colon).ends_with(']');
  const auto host = has_port ? address.substr(0, colon) : address;
  constexpr std::string_view usual = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
  return host.find_first_not_of(usual) == std::string_view::npos && !host.starts_with('-')
             ? host
             : std::string_view{};
}

}  // namespace hostnet::engine
