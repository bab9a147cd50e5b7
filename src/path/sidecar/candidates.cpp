// Which candidates there are, and in which order.
#include "path/sidecar/candidates.hpp"

#include "path/sidecar/sshd.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

bool is_loopback_name(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  const auto address = Ipv4::parse(host);
  return address && address->is_loopback();
}

bool is_elsewhere(const engine::Address& engine) { return engine.tcp && !engine.tcp->is_loopback(); }

// Its container's own 127.0.0.1 is not that of the engine's host.
bool has_own_loopback(const Surroundings& known) { return known.own && !known.own->host_network; }

bool is_on(const engine::Endpoint& endpoint, const engine::Network& network) {
  // Podman before 5 gives the name for the id.
  return endpoint.network_id == network.id || endpoint.network == network.name ||
         endpoint.network_id == network.name;
}

bool are_on_one_network(const engine::Endpoint& one, const engine::Endpoint& other) {
  return one.network == other.network && one.network_id == other.network_id;
}

bool is_on_one_of_ours(const Surroundings& known, const engine::Endpoint& endpoint) {
  return known.own && std::ranges::any_of(known.own->endpoints, [&](const engine::Endpoint& our) {
           return are_on_one_network(our, endpoint);
         });
}

bool is_on_our_networks(const Surroundings& known, const engine::Network& network) {
  return known.own && std::ranges::any_of(known.own->endpoints, [&](const engine::Endpoint& endpoint) {
           return is_on(endpoint, network);
         });
}

// The engine publishes nothing for a container that is only on such a network.
bool can_publish(const engine::Network& network) {
  return !network.internal && network.driver != "macvlan" && network.driver != "ipvlan";
}

void add_addresses(std::vector<DialCandidate>& out, DialCandidate::By by, const engine::Endpoint& endpoint) {
  for (const auto& address : endpoint.addresses()) out.push_back({by, address.to_string(), ssh::kPort});
}

}  // namespace

const engine::Endpoint* end_on(const engine::Container& sidecar, const engine::Network& network,
                               const Surroundings& known) {
  const auto& all = sidecar.endpoints;
  auto found = std::ranges::find_if(all, [&](const auto& one) { return is_on(one, network); });
  // Podman calls its default network by another name here.
  if (found == all.end())
    found = std::ranges::find_if(all, [&](const auto& one) { return !is_on_one_of_ours(known, one); });
  if (found == all.end()) found = all.begin();
  return found == all.end() ? nullptr : &*found;
}

Provision provision(const Surroundings& known, const engine::Address& engine,
                    const engine::Network& network) {
  if (known.direct || is_on_our_networks(known, network)) return {};
  Provision out;
  out.join = has_own_loopback(known) && !known.own->endpoints.empty();
  if (!can_publish(network)) return out;
  if (engine.ssh)
    out.publish_on = "127.0.0.1";  // $TESTCONTAINERS_HOST_OVERRIDE is for the ports of the user's containers
  else if (!known.host_override.empty())
    out.publish_on = is_loopback_name(known.host_override) ? "127.0.0.1" : "0.0.0.0";
  else if (!has_own_loopback(known))
    out.publish_on = is_elsewhere(engine) ? "0.0.0.0" : "127.0.0.1";
  return out;
}

std::string DialCandidate::at() const {
  if (by == By::exec) return {};
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::string DialCandidate::text() const {
  switch (by) {
    case By::address:
      return "its address " + at();
    case By::network:
      return "its address on this container's network, " + at();
    case By::forward:
      return "a forward of the login to its port " + at();
    case By::published:
      return "its published port " + at();
    case By::exec:
      break;
  }
  return "a command of the engine in it";
}

const char* DialCandidate::kind() const noexcept {
  switch (by) {
    case DialCandidate::By::address:
      return "address";
    case DialCandidate::By::network:
      return "network";
    case DialCandidate::By::forward:
      return "forward";
    case DialCandidate::By::published:
      return "published";
    case DialCandidate::By::exec:
      break;
  }
  return "exec";
}

std::vector<DialCandidate> dial_candidates(const Surroundings& known, const engine::Address& engine,
                                           std::optional<Ipv4> engine_at, const engine::Network& network,
                                           const engine::Container& sidecar) {
  std::vector<DialCandidate> out;
  const auto* const end = end_on(sidecar, network, known);
  if (end != nullptr && (known.direct || known.on_host || is_on_one_of_ours(known, *end)))
    add_addresses(out, DialCandidate::By::address, *end);
  for (const auto& endpoint : sidecar.endpoints)
    if (&endpoint != end && is_on_one_of_ours(known, endpoint))
      add_addresses(out, DialCandidate::By::network, endpoint);
  const auto port = std::ranges::find(sidecar.ports, ssh::kPort, &engine::PublishedPort::container);
  if (port != sidecar.ports.end()) {
    if (engine.ssh)
      out.push_back({DialCandidate::By::forward, "127.0.0.1", port->host});
    else if (!known.host_override.empty())
      out.push_back({DialCandidate::By::published, known.host_override, port->host});
    else if (!is_elsewhere(engine))
      out.push_back({DialCandidate::By::published, "127.0.0.1", port->host});
    else if (engine_at)
      out.push_back({DialCandidate::By::published, engine_at->to_string(), port->host});
  }
  out.push_back({DialCandidate::By::exec, {}, 0});
  return out;
}

}  // namespace hostnet::exposer
