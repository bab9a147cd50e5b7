// Leases ahead on the ssh path: connections wait in the tunnel until the container is known.
#include "engine/containers.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sidecar.hpp"
#include "path/ssh/ssh.hpp"

#include <functional>
#include <utility>

namespace hostnet::exposer {
namespace {

class BySsh : public AheadLease {
 public:
  BySsh(const ExposerOptions& options, const AheadRequest& request, Deadline deadline) {
    engine::Client client(engine::Address::find(options.engine));
    engine::Containers containers(client);
    const auto image = sidecar_image();
    // Pull within this deadline; the exposer itself would allow five minutes.
    if (!containers.has_image(image, deadline)) fetch_image(containers, image, deadline);
    auto within = options;
    if (!deadline.is_never()) within.deadline = deadline.remaining();
    auto ahead = expose_ahead(within, request.network, request.ports);
    exposure = std::move(ahead.exposure);
    serve_ = std::move(ahead.serve);
    gateway = exposure.gateway();
  }

  void started(const engine::Container& container, Deadline) override { serve_(container); }

 private:
  std::function<void(const engine::Container&)> serve_;
};

}  // namespace

std::unique_ptr<AheadLease> ssh_ahead(const ExposerOptions& options, const AheadRequest& request,
                                      Deadline deadline) {
  return std::make_unique<BySsh>(options, request, deadline);
}

}  // namespace hostnet::exposer
