// Each path's way.
#include "exposer/ahead.hpp"

#include "exposer/native_ahead.hpp"
#include "exposer/resolve.hpp"
#include "exposer/select.hpp"
#include "exposer/sidecar.hpp"
#include "exposer/sidecar_plan.hpp"
#include "exposer/ssh.hpp"
#include "hostnet/error.hpp"

#include <utility>

namespace hostnet::exposer {
namespace {

ExposerOptions with_deadline(ExposerOptions options, Path path, Deadline deadline) {
  options.path = path;
  if (!deadline.is_never()) options.deadline = deadline.remaining();
  return options;
}

class BySsh : public AheadLease {
 public:
  BySsh(const ExposerOptions& options, const AheadRequest& request, Deadline deadline) {
    engine::Client client(engine::Address::find(options.engine));
    engine::Containers containers(client);
    const auto image = sidecar_image();
    // Within this deadline: the exposer's own would allow for a pull of minutes.
    if (!containers.has_image(image, deadline)) fetch_image(containers, image, deadline);
    auto ahead = expose_ahead(with_deadline(options, Path::ssh, deadline), request.network, request.ports);
    exposure = std::move(ahead.exposure);
    serve_ = std::move(ahead.serve);
    gateway = exposure.gateway();
  }

  void started(const engine::Container& container, Deadline) override {
    serve_(endpoint_of(container).address.value());
  }

 private:
  std::function<void(Ipv4)> serve_;
};

// For the exposers that know running containers only.
class JustAfter : public AheadLease {
 public:
  JustAfter(ExposerOptions options, const AheadRequest& request)
      : options_(std::move(options)), ports_(request.ports) {}

  void started(const engine::Container& container, Deadline deadline) override {
    exposure = make_exposer(with_deadline(options_, options_.path, deadline))
                   ->expose(Target::container(container.id), ports_);
  }

 private:
  ExposerOptions options_;
  std::vector<HostPort> ports_;
};

}  // namespace

std::vector<Path> paths_to_try(const ExposerOptions& options) {
  std::vector<Path> paths;
  for (const auto& [path, probe] : probe_paths(options.engine, options.path))
    if (probe.usable && (options.path == Path::automatic || options.path == path)) paths.push_back(path);
  if (paths.empty()) {
    make_exposer(options);  // says why
    throw Error(Errc::no_path, "no usable path");
  }
  return paths;
}

std::unique_ptr<AheadLease> lease_ahead(Path path, const ExposerOptions& options, const AheadRequest& request,
                                        Deadline deadline) {
  switch (path) {
    case Path::native:
      return native_ahead(options, request, deadline);
    case Path::ssh:
      return std::make_unique<BySsh>(options, request, deadline);
    default:
      return std::make_unique<JustAfter>(with_deadline(options, path, deadline), request);
  }
}

}  // namespace hostnet::exposer
