// Leases ahead on the relay path. A container has no network namespace before its start.
//
//   engine   its namespace exists                   the ports answer
//   Podman   after init, before the first process   from the first instruction
//   Docker   after the start                        a moment later: until then they refuse
//
// The alias leads to the same address in every container, so it is in the hosts file from the beginning.
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/port_json.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/relay_path.hpp"
#include "path/relay/target.hpp"

#include <fmt/format.h>

#include <chrono>
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

class RelayAhead : public AheadLease {
 public:
  RelayAhead(ExposerOptions options, const AheadRequest& request, Deadline deadline)
      : options_(std::move(options)), ports_(request.ports) {
    engine::Client client(engine::Address::find(options_.engine));
    if (deadline.is_never()) deadline = Deadline::after(options_.deadline);
    check_ahead(client, request, deadline);
    if (!shares_hosts_file(request.network)) gateway = relay::kInside.to_string();
    wants_init = client.is_podman(deadline);
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

}  // namespace

std::unique_ptr<AheadLease> relay_ahead(const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline) {
  return std::make_unique<RelayAhead>(options, request, deadline);
}

DryRun relay_dry_run_ahead(const ExposerOptions& options, const AheadRequest& request,
                           const CommandContainer& container) {
  const auto deadline = Deadline::after(kAheadDryRunSpan);
  engine::Client client(engine::Address::find(options.engine));
  const auto ports = normalise(request.ports);
  check_ahead(client, {request.network, ports}, deadline);
  if (!is_mode(request.network)) static_cast<void>(client.network(request.network, deadline));
  const bool before = client.is_podman(deadline);
  const auto address = relay::kInside.to_string();
  DryRun out;
  out.lines.push_back(fmt::format("# create {} a container from {} on network {}, and run {}",
                                  before ? "and initialise" : "and start", container.image, request.network,
                                  container.command.empty()
                                      ? "the image's own command"
                                      : fmt::format("{}", fmt::join(container.command, " "))));
  for (const auto& port : ports)
    out.lines.push_back(fmt::format("# {} listen at {}:{} in its network, and join its connections with {}",
                                    before ? "before that," : "then", address, port.container,
                                    port.service()));
  out.object = json::Value{
      {"via", kRelayPath.name}, {"network", request.network},
      {"address", address},     {"ports", to_json(ports)},
      {"before_start", before}, {"run", {{"image", container.image}, {"command", container.command}}}};
  return out;
}

}  // namespace hostnet::exposer
