// Labels, ports and listeners.
#include "lease/checks.hpp"

#include "core/log.hpp"
#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/command_line.hpp"
#include "lease/listening.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

namespace hostnet::exposer {
namespace {

// A range may have a thousand ports.
constexpr std::size_t kMostWarnings = 4;
constexpr std::size_t kMostInCommand = 8;

void check_label(const std::string& label) {
  const bool printable =
      std::ranges::none_of(label, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (label.size() > 64 || !printable)
    throw Error(Errc::invalid_argument,
                fmt::format("label {} is not 1 to 64 printable characters", quote(label)));
}

std::optional<std::string> missing_service(const HostPort& port, bool required, Listeners& listeners,
                                           Loopback loopback, const CommandFor& command) {
  if (!port.socket.empty()) {
    struct stat status {};
    if (::stat(port.socket.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) return std::nullopt;
    const auto why = fmt::format("there is no Unix socket {}", quote(port.socket));
    if (required)
      throw Error(Errc::not_listening, why, "start the service first, or leave out --require-listener");
    return fmt::format("{}; exposing it anyway", why);
  }
  const auto& found = listeners.on(port.protocol, port.host);
  const auto reached_from = [&](Origin origin) {
    return std::ranges::find_if(
        found, [&](const netlink::Listener& listener) { return is_reached(port, listener, origin); });
  };
  const bool by_host = loopback == Loopback::either;
  if (reached_from(by_host ? Origin::host : Origin::bridge) != found.end()) return std::nullopt;
  const bool falls_back = by_host && port.address.empty() && port.protocol == Protocol::tcp;
  std::string why = fmt::format("nothing listens on {}{}", port.service(),
                                falls_back ? fmt::format(" or [::1]:{}", port.host) : "");
  const auto next = reached_from(Origin::host);
  if (loopback == Loopback::ipv4_or_next && port.protocol == Protocol::tcp && next != found.end())
    throw Error(Errc::no_path,
                fmt::format("{}, only on {}, which this path does not reach", why, next->to_string()),
                fmt::format("take the ssh path: --via ssh; or let the service listen on {}, too",
                            ipv4_of(port).value_or(kLoopback).to_string()));
  std::string what;
  if (const auto others =
          others_of(port, found, loopback == Loopback::ipv4 ? Origin::bridge : Origin::host)) {
    why += fmt::format(", only on {}", others->listeners);
    what = advice(*others, command);
  }
  if (required)
    throw Error(Errc::not_listening, why,
                fmt::format("{}start the service first, or leave out --require-listener",
                            what.empty() ? "" : what + "; or "));
  return fmt::format("{}; exposing the port anyway{}{}", why, what.empty() ? "" : "; ", what);
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

void check_ipv4_service(const HostPort& port, std::string_view path, std::string_view way) {
  if (!port.socket.empty())
    throw Error(Errc::no_path, fmt::format("{}: the {} leads to ports only", port.to_string(), path),
                fmt::format("a Unix socket takes the ssh path: {}", way));
  if (!ipv4_of(port))
    throw Error(Errc::no_path, fmt::format("{}: the {} leads to IPv4 only", port.to_string(), path),
                fmt::format("[::1] takes the ssh path, for a container or network: {}", way));
}

void check_host_port(const HostPort& port, bool required, Listeners& listeners, Loopback loopback,
                     const CommandFor& command) {
  if (const auto missing = missing_service(port, required, listeners, loopback, command))
    log::warn("{}", *missing);
}

void check_host_ports(const ExposeRequest& request, const std::vector<HostPort>& ports, Listeners& listeners,
                      Loopback loopback, Caller caller) {
  std::size_t missing = 0;
  for (const auto& port : ports) {
    const auto command = [&](const HostPort& instead) {
      if (caller == Caller::program) return "name it as " + port_word(instead);
      if (ports.size() > kMostInCommand) return expose_command({instead}, request.target);
      auto all = ports;
      std::ranges::replace(all, port, instead);
      return expose_command(all, request.target);
    };
    const auto text = missing_service(port, request.require_listener, listeners, loopback, command);
    if (text && ++missing <= kMostWarnings) log::warn("{}", *text);
  }
  if (missing > kMostWarnings)
    log::warn("nothing listens on {} more of the {} ports, either", missing - kMostWarnings, ports.size());
}

void warn_if_unpinned(const std::string& lease, const std::string& why) {
  if (!why.empty())
    log::warn("lease {} is unpinned: {}; a neighbour that takes over its container's address can use it",
              lease, why);
}

}  // namespace hostnet::exposer
