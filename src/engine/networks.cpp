// The calls: one request each.
#include "engine/networks.hpp"

#include "engine/container_json.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::engine {
namespace {

std::vector<NetworkSummary> parse_list(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::vector<NetworkSummary> networks;
  JsonReader(tree).each_element([&](const JsonReader& entry) {
    networks.push_back({id_of(entry.at("Id")), entry.at("Name").string(), entry.strings_or_empty("Labels")});
  });
  return networks;
}

bool is_in_use(const Error& error) {
  // Docker answers 403, Podman 409 or 500, so only the messages tell.
  const std::string_view words = error.what();
  return words.find("active endpoints") != std::string_view::npos ||
         words.find("associated containers") != std::string_view::npos;
}

}  // namespace

std::string Networks::create(const std::string& name, const std::map<std::string, std::string>& labels,
                             Deadline deadline) {
  auto& transport = *client_.transport_;
  const auto path = client_.dialect(deadline).docker + "/networks/create";
  return parsed(transport.post(path, network_request(name, labels), deadline), parse_id);
}

void Networks::connect(std::string_view id, std::string_view container, Deadline deadline) {
  const auto path = fmt::format("{}/networks/{}/connect", client_.dialect(deadline).docker, path_segment(id));
  client_.transport_->post(path, connect_request(container), deadline);
}

bool Networks::remove(std::string_view id, Deadline deadline) {
  const auto path = fmt::format("{}/networks/{}", client_.dialect(deadline).docker, path_segment(id));
  try {
    client_.transport_->remove(path, deadline);
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return true;
    if (is_in_use(error)) return false;
    throw;
  }
}

std::vector<NetworkSummary> Networks::list(const std::vector<std::string>& labels, Deadline deadline) {
  const auto path = fmt::format("{}/networks?filters={}", client_.dialect(deadline).docker,
                                query_value(label_filter(labels)));
  return parsed(client_.transport_->get(path, deadline), parse_list);
}

std::vector<OverlayEnd> Networks::overlay_ends(std::string_view id, Deadline deadline) {
  const auto path =
      fmt::format("{}/networks/{}?verbose=true", client_.dialect(deadline).docker, path_segment(id));
  return parsed(client_.transport_->get(path, deadline), parse_overlay_ends);
}

SwarmNode Networks::swarm_node(Deadline deadline) {
  return parsed(client_.transport_->get(client_.dialect(deadline).docker + "/info", deadline),
                parse_swarm_node);
}

}  // namespace hostnet::engine
