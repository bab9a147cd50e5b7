// Orders the endpoints by the default route of the container's process.
#include "target/endpoint.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>

namespace hostnet::exposer {
namespace {

std::string connect_hint(const engine::Container& container) {
  return fmt::format("connect it to a bridge network: {} network connect NETWORK {}", container.command,
                     shell_word(container.name));
}

}  // namespace

std::vector<engine::Endpoint> in_order(const engine::Container& container,
                                       std::optional<Ipv4> default_gateway) {
  std::vector<engine::Endpoint> out;
  std::ranges::copy_if(container.endpoints, std::back_inserter(out),
                       [](const engine::Endpoint& one) { return !one.addresses().empty(); });
  const auto rank = [&](const engine::Endpoint& one) {
    const bool is_default = default_gateway && one.gateway == default_gateway;
    return std::tuple(!is_default, -one.priority, std::string_view(one.network));
  };
  std::ranges::stable_sort(out, {}, rank);
  return out;
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

std::vector<engine::Endpoint> endpoints_of(const engine::Container& container, bool local) {
  const auto route =
      local ? try_read_file(fmt::format("/proc/{}/net/route", container.pid)).value_or("") : std::string();
  auto out = in_order(container, default_gateway(route));
  if (out.empty())
    throw Error(Errc::not_found, fmt::format("container {} has no address on any network", container.name),
                connect_hint(container));
  return out;
}

engine::Endpoint endpoint_of(const engine::Container& container, bool local) {
  for (auto& endpoint : endpoints_of(container, local))
    if (endpoint.address) return std::move(endpoint);
  throw Error(Errc::not_found, fmt::format("container {} has no IPv4 address on any network", container.name),
              connect_hint(container));
}

std::string reasons_against(const engine::Container& container, std::span<const Against> reasons) {
  auto out = fmt::format("container {}", container.name);
  const char* separator = ": ";
  for (const auto& [network, why] : reasons) {
    out += fmt::format("{}network {}: {}", separator, network, why);
    separator = "; ";
  }
  return out;
}

}  // namespace hostnet::exposer
