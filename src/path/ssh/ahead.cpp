// Leases ahead on the ssh path: connections wait in the tunnel until the container is known.
#include "engine/containers.hpp"
#include "hostnet/error.hpp"
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
    auto within = options;
    if (!deadline.is_never()) {
      // Pull within this deadline; the exposer itself would allow five minutes.
      if (!containers.has_image(image, deadline)) fetch_image(containers, image, deadline);
      within.deadline = deadline.remaining();
    }
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
  try {
    return std::make_unique<BySsh>(options, request, deadline);
  } catch (const Error& error) {
    // The caller puts its own words before an error, which then has but a code.
    if (kSshPath.leaves_to_another(error))
      throw Error(Errc::no_path, error.what(), error.hint(), error.sys_errno());
    throw;
  }
}

}  // namespace hostnet::exposer
