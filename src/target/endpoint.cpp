// Finds the endpoint by the default route of the container's process.
#include "target/endpoint.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <charconv>

namespace hostnet::exposer {

const engine::Endpoint* primary_endpoint(const engine::Container& container,

                                         std::optional<Ipv4> default_gateway) {
  const engine::Endpoint* first = nullptr;
  for (const auto& endpoint : container.endpoints) {
    if (!endpoint.address) continue;
    if (default_gateway && endpoint.gateway == default_gateway) return &endpoint;
    if (first == nullptr) first = &endpoint;
  }
  return first;
}

std::optional<Ipv4> default_gateway(std::string_view proc_net_route) {
  for (const auto line : split(proc_net_route, '\n')) {
    const auto fields = split(line, '\t');
    if (fields.size() < 3 || fields[1] != "00000000") continue;
    std::uint32_t network_order = 0;
    const auto hex = trim(fields[2]);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), network_order, 16);
    if (error == std::errc{} && end == hex.data() + hex.size() && network_order != 0)
      return Ipv4::from_network(network_order);
  }
  return std::nullopt;
}

const engine::Endpoint& endpoint_of(const engine::Container& container, bool local) {
  const auto route =
      local ? try_read_file(fmt::format("/proc/{}/net/route", container.pid)).value_or("") : std::string();
  const auto* const endpoint = primary_endpoint(container, default_gateway(route));
  if (endpoint == nullptr)
    throw Error(
        Errc::not_found, fmt::format("container {} has no IPv4 address on any network", container.name),
        "connect it to a bridge network: docker network connect NETWORK " + shell_word(container.name));
  return *endpoint;
}

}  // namespace hostnet::exposer
