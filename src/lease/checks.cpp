// Labels, ports and listeners.
#include "lease/checks.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/ruleset.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

void check_label(const std::string& label) {
  const bool printable =
      std::ranges::none_of(label, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (label.size() > 64 || !printable)
    throw Error(Errc::invalid_argument,
                fmt::format("label {} is not 1 to 64 printable characters", quote(label)));
}

}  // namespace

const std::vector<netlink::Listener>& Listeners::on(Protocol protocol, std::uint16_t port) {
  const auto [found, fresh] = by_protocol_.try_emplace(protocol);
  auto& by_port = found->second;
  if (fresh)
    for (auto& listener : netlink::all_listeners(protocol)) by_port[listener.port].push_back(listener);
  return by_port[port];
}

std::vector<HostPort> checked_ports(const ExposeRequest& request) {
  check_label(request.label);
  auto ports = normalise(request.ports);
  if (ports.empty()) throw Error(Errc::invalid_argument, "no port given", "name at least one port");
  return ports;
}

void check_host_port(const HostPort& port, bool required, Listeners& listeners, Loopback loopback) {
  if (!port.socket.empty()) {
    struct stat status {};
    if (::stat(port.socket.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) return;
    const auto why = fmt::format("there is no Unix socket {}", quote(port.socket));
    if (required)
      throw Error(Errc::not_listening, why, "start the service first, or leave out --require-listener");
    return log::warn("{}; exposing it anyway", why);
  }
  const auto& found = listeners.on(port.protocol, port.host);
  const bool either = loopback == Loopback::either;
  if (std::ranges::any_of(found, [&](const auto& listener) {
        return listener.serves(firewall::kLoopback) || (either && listener.serves_ipv6_loopback());
      }))
    return;
  const auto six = std::ranges::find_if(found, &netlink::Listener::serves_ipv6_loopback);
  if (loopback == Loopback::ipv4_or_next && port.protocol == Protocol::tcp && six != found.end())
    throw Error(Errc::no_path,
                fmt::format("nothing listens on 127.0.0.1:{}, only on {}, which this path does not reach",
                            port.host, six->to_string()),
                "take the ssh path: --via ssh; or let the service listen on 127.0.0.1, too");
  std::string why = fmt::format("nothing listens on 127.0.0.1:{}{}", port.host,
                                either ? fmt::format(" or [::1]:{}", port.host) : "");
  if (!found.empty()) why += fmt::format(", only on {}", found.front().to_string());
  if (required)
    throw Error(Errc::not_listening, why, "start the service first, or leave out --require-listener");
  log::warn("{}; exposing the port anyway", why);
}

void warn_if_unpinned(const std::string& lease, const std::string& why) {
  if (!why.empty())
    log::warn("lease {} is unpinned: {}; a neighbour that takes over its container's address can use it",
              lease, why);
}

}  // namespace hostnet::exposer
