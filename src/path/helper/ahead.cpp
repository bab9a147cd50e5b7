// Leases ahead on the helper path: for an Ethernet address, or right after the container's start.
#include "path/helper/helper.hpp"
#include "target/bridge_to_come.hpp"
#include "target/named.hpp"

#include <utility>

namespace hostnet::exposer {
namespace {

// Serves the container's Ethernet address and only that: narrowing the forward later would need another
// authorisation.
class ByHelper : public AheadLease {
 public:
  ByHelper(const ExposerOptions& options, const AheadRequest& request) {
    mac = Mac::random();
    const ExposeRequest wanted{
        .target = Target::network(request.network), .ports = request.ports, .write_alias = false};
    exposure = expose_to_mac(options, wanted, *mac);
    gateway = exposure.gateway();
  }

  void started(const engine::Container& container, Deadline) override { check_mac(container); }
};

// For a network that has no bridge until the container runs.
class JustAfter : public AheadLease {
 public:
  JustAfter(ExposerOptions options, const AheadRequest& request)
      : options_(std::move(options)), ports_(request.ports) {}

  void started(const engine::Container& container, Deadline deadline) override {
    if (!deadline.is_never()) options_.deadline = deadline.remaining();
    exposure = make_helper(options_)->expose(Target::container(container.id), ports_);
  }

 private:
  ExposerOptions options_;
  std::vector<HostPort> ports_;
};

}  // namespace

std::unique_ptr<AheadLease> helper_ahead(const ExposerOptions& options, const AheadRequest& request,
                                         Deadline deadline) {
  engine::Client client(engine::Address::find(options.engine));
  if (bridge_will_come(client, network_named(client, request.network, deadline), deadline))
    return std::make_unique<JustAfter>(options, request);
  auto within = options;
  if (!deadline.is_never()) within.deadline = deadline.remaining();
  return std::make_unique<ByHelper>(within, request);
}

}  // namespace hostnet::exposer
