// An engine's network and the containers that run on it.
#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "target/attached.hpp"
#include "target/named.hpp"
#include "target/network_mode.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace hostnet::exposer {

// A remote engine names the bridges of its own machine. Here the same name and gateway (docker0 with
// 172.17.0.1) may belong to another engine, whose containers would get access. A loopback address does not
// prove a local engine: it may be the start of a tunnel. Through a socket that another user can replace, that
// user would choose, by pids and paths, what root does.
void Resolver::refuse_remote(const std::string& whose, Deadline deadline) {
  const auto& address = client().address();
  if (address.is_unix() && runs_rootless(client(), deadline))
    throw Error(
        Errc::no_path,
        fmt::format("{} is of an engine that runs rootless: its bridges are in a network namespace of "
                    "its own",
                    whose),
        "take the ssh path: --via ssh");
  const auto why = client().why_remote(deadline);
  if (!why) return;
  throw Error(Errc::no_path,
              fmt::format("{} is of the engine at {}, {}: {}", whose, address.socket, *why,
                          address.ssh   ? "so are its bridges"
                          : address.tcp ? "its bridges may be elsewhere"
                                        : "what it says of this machine is not acted upon"),
              "take the ssh path: --via ssh; or give the socket of an engine of this machine: --engine "
              "unix:///run/docker.sock");
}

Resolver::OnBridge Resolver::on_bridge(const std::string& name, bool force, Deadline deadline) {
  auto network = network_named(client(), name, deadline);
  const auto whose = fmt::format("network {}", network.name);
  if (network.driver == "host" || network.driver == "null")
    throw Error(Errc::invalid_argument, fmt::format("{} has no containers of its own behind a bridge", whose),
                fmt::format("use a bridge network: {} network create NAME", network.command));
  if (network.driver != "bridge")
    throw Error(Errc::no_path,
                fmt::format("{} is of driver {}, not a bridge network", whose, quote(network.driver)),
                fmt::format("take the ssh path: --via ssh; or use a bridge network: {} network create NAME",
                            network.command));
  refuse_remote(whose, deadline);
  Resolved out{.bridge = local_bridge(network.bridge, whose, deadline)};
  check_ports_of(out.bridge, force);
  out.gateways = gateways_of(out.bridge, network.gateway, whose, deadline);
  return {std::move(network), std::move(out)};
}

Resolved Resolver::network(const std::string& name, bool with_alias, bool force, Deadline deadline) {
  auto [network, out] = on_bridge(name, force, deadline);
  if (const auto why = why_not_its_bridge(client(), rtnl_, network, out.bridge, deadline))
    throw Error(Errc::no_path, *why,
                "start a container on the network first; or take the ssh path: --via ssh");
  if (!with_alias) return std::move(out);
  for (const auto& id : network.containers) {
    std::string called = id.substr(0, 12);
    try {
      const auto container = client().container(id, deadline);
      called = container.name;
      out.aliases.push_back(engine::alias_record(container));
    } catch (const Error& error) {
      // The container may have stopped since the network was listed.
      if (error.code() == Errc::timed_out)
        log::warn("{} is not written into container {}: {}", kAlias, called, error.what());
      else if (error.code() != Errc::not_found && error.code() != Errc::conflict)
        throw;
    }
  }
  return std::move(out);
}

}  // namespace hostnet::exposer
