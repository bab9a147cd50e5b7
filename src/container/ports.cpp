// Looks up a published port.
#include "container/ports.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace hostnet::container {
namespace {

// An empty address means all addresses.
bool serves(const engine::PublishedPort& published, Family family) {
  const bool is_ipv6 = published.host_ip.find(':') != std::string::npos;
  return published.host_ip.empty() || is_ipv6 == (family == Family::ipv6);
}

}  // namespace

std::uint16_t host_port(const engine::Container& container, ContainerPort port, Family family) {
  bool published = false;
  for (const auto& candidate : container.ports) {
    if (candidate.container != port.number || candidate.protocol != to_string(port.protocol)) continue;
    published = true;
    if (!serves(candidate, family)) continue;
    if (candidate.host == 0)
      throw Error(Errc::engine_error,
                  fmt::format("the engine says that port {} of container {} is port 0 of the host",
                              port.to_string(), container.name));
    return candidate.host;
  }
  if (published)
    throw Error(Errc::port_not_exposed,
                fmt::format("port {} of container {} is not exposed on {}", port.to_string(), container.name,
                            family == Family::ipv4 ? "IPv4" : "IPv6"),
                family == Family::ipv4 ? "use get_host_port_ipv6()" : "use get_host_port_ipv4()");
  if (!container.running && container.ports.empty())
    throw Error(Errc::port_not_exposed,
                fmt::format("port {} of container {} is not exposed: the container does not run",
                            port.to_string(), container.name));
  throw Error(Errc::port_not_exposed,
              fmt::format("port {} of container {} is not exposed", port.to_string(), container.name),
              "add with_exposed_port() or with_mapped_port() before start()");
}

std::string host_of(const engine::Address& engine) {
  const char* const override = std::getenv("TESTCONTAINERS_HOST_OVERRIDE");
  if (override != nullptr && *override != '\0') return override;
  if (engine.ssh) return engine.ssh->host;
  return engine.tcp && !engine.tcp->is_loopback() ? engine.tcp->host : "localhost";
}

std::string http_url(const engine::Address& engine, std::uint16_t port, std::string_view path) {
  auto host = host_of(engine);
  if (host == "localhost") host = "127.0.0.1";  // the port is published for IPv4
  const bool is_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return is_ipv6 ? fmt::format("http://[{}]:{}{}", host, port, path)
                 : fmt::format("http://{}:{}{}", host, port, path);
}

}  // namespace hostnet::container
