// Leases ahead on the relay path. A container has no network namespace before its start.
//
//   engine                      its namespace exists      where the ports are, and when they answer
//   Podman                      after init, before the    in the container: from the first instruction
//                               first process
//   Docker                      with the start            at the network's gateway: from the first instruction;
//                                                         what connects before the container's address is known
//                                                         waits in the kernel's queue (peers.hpp)
//   Docker, without a bridge    with the start            in the container, a moment later: until then they refuse.
//   here, or with a port that                             So with another's network, none, macvlan, and on a rootless
//   is not free there                                     engine's network on which nothing runs yet
//
// The alias leads to an address that is known before, so it is in the hosts file from the beginning. A lease
// at the gateway stays there: a program that has asked for the name once may keep the address for as long as
// it runs.
#include "core/join.hpp"
#include "core/log.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/port_json.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/gateway_lease.hpp"
#include "path/relay/relay_path.hpp"
#include "path/relay/target.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kAheadDryRunSpan{30};

// With another container's network comes its hosts file, in which the lease writes the alias later.
bool shares_hosts_file(const std::string& network) { return network.starts_with("container:"); }

bool is_mode(std::string_view network) {
  return network == "none" || network.starts_with("container:") || network.starts_with("slirp4netns") ||
         network.starts_with("pasta");
}

void check_ahead(engine::Client& client, const AheadRequest& request, Deadline deadline) {
  if (request.network == "host")
    throw Error(Errc::invalid_argument, "a container on the host's network reaches 127.0.0.1 as it is",
                "dial 127.0.0.1 in the container");
  check_engine_is_here(client, deadline);
}

// Listens in the container's own network namespace once that exists.
class InContainer : public AheadLease {
 public:
  InContainer(ExposerOptions options, const AheadRequest& request, bool is_podman)
      : options_(std::move(options)), ports_(request.ports) {
    if (!shares_hosts_file(request.network)) gateway = relay::kInside.to_string();
    wants_init = is_podman;
  }

  void initialised(const engine::Container& container, Deadline deadline) override {
    hold(container, deadline);
  }
  void started(const engine::Container& container, Deadline deadline) override {
    // Its first process is that of the init: if it has ended since, so has the lease.
    if (!held_) hold(container, deadline);
  }

 private:
  void hold(const engine::Container& container, Deadline deadline) {
    if (!deadline.is_never()) options_.deadline = deadline.remaining();
    exposure = make_relay(options_)->expose(
        {.target = Target::container(container.id), .ports = ports_, .write_alias = gateway.empty()});
    held_ = true;
  }

  ExposerOptions options_;
  std::vector<HostPort> ports_;
  bool held_ = false;
};

ExposeRequest at_gateway(const AheadRequest& request) {
  return {.target = Target::network(request.network), .ports = request.ports, .write_alias = false};
}

// Listens at the gateway before the container is created.
class AtGateway : public AheadLease {
 public:
  AtGateway(const ExposerOptions& options, const AheadRequest& request, Deadline deadline) {
    auto made = expose_at_gateway(options, at_gateway(request), deadline);
    lease_ = made.lease;
    exposure = std::move(made.exposure);
    gateway = exposure.gateway();
  }

  void started(const engine::Container& container, Deadline) override { lease_->serve_only(container); }

 private:
  GatewayLease* lease_ = nullptr;  // exposure's
};

std::unique_ptr<AheadLease> on_docker(const ExposerOptions& options, const AheadRequest& request,
                                      Deadline deadline) {
  if (!is_mode(request.network)) {
    try {
      return std::make_unique<AtGateway>(options, request, deadline);
    } catch (const Error& error) {
      // Also for a bridge that leads out of this machine (invalid_argument).
      if (error.code() != Errc::no_path && error.code() != Errc::conflict &&
          error.code() != Errc::invalid_argument)
        throw;
      log::debug("relay: not at the gateway of network {}: {}", request.network, error.what());
    }
  }
  return std::make_unique<InContainer>(options, request, false);
}

// The gateway at which a lease would listen; nullopt: it would in the container.
std::optional<Ipv4> gateway_of(const ExposerOptions& options, engine::Client& client,
                               const AheadRequest& request, Deadline deadline) {
  if (is_mode(request.network)) return std::nullopt;
  try {
    const auto target = resolve_gateway(client, options.engine, request.network, false, deadline);
    check_firewall_ahead(target, request.ports, deadline);
    return target.gateway;
  } catch (const Error& error) {
    if (error.code() != Errc::no_path && error.code() != Errc::invalid_argument) throw;
    return std::nullopt;
  }
}

}  // namespace

std::unique_ptr<AheadLease> relay_ahead(const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline) {
  engine::Client client(engine::Address::find(options.engine));
  if (deadline.is_never()) deadline = Deadline::after(options.deadline);
  check_ahead(client, request, deadline);
  if (client.is_podman(deadline)) return std::make_unique<InContainer>(options, request, true);
  return on_docker(options, request, deadline);
}

DryRun relay_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                           const CommandContainer& container) {
  const auto deadline = Deadline::after(kAheadDryRunSpan);
  engine::Client client(engine::Address::find(options.engine));
  const auto ports = normalise(request.ports);
  check_ahead(client, {request.network, ports}, deadline);
  if (!is_mode(request.network)) static_cast<void>(client.network(request.network, deadline));
  const bool is_podman = client.is_podman(deadline);
  const auto at = is_podman ? std::nullopt : gateway_of(options, client, {request.network, ports}, deadline);
  const bool before = is_podman || at;
  const auto address = at.value_or(relay::kInside).to_string();
  DryRun out;
  out.lines.push_back(
      fmt::format("# create {} a container from {} on network {}, and run {}",
                  is_podman ? "and initialise" : "and start", container.image, request.network,
                  container.command.empty() ? "the image's own command" : join(container.command, " ")));
  for (const auto& port : ports)
    out.lines.push_back(fmt::format("# {} listen at {}:{} {}, and join its connections with {}",
                                    before ? "before that," : "then", address, port.container,
                                    at ? "of this host, for that container alone" : "in its network",
                                    port.service()));
  out.object = json::Value{
      {"via", kRelayPath.name}, {"network", request.network},
      {"address", address},     {"ports", to_json(ports)},
      {"before_start", before}, {"run", {{"image", container.image}, {"command", container.command}}}};
  return out;
}

}  // namespace hostnet::exposer
