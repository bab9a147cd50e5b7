// Each path's way.
#include "exposer/ahead.hpp"

#include "exposer/helper.hpp"
#include "exposer/native_ahead.hpp"
#include "exposer/resolve.hpp"
#include "exposer/select.hpp"
#include "exposer/sidecar.hpp"
#include "exposer/sidecar_plan.hpp"
#include "exposer/ssh.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

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

  void started(const engine::Container& container, Deadline) override { serve_(container); }

 private:
  std::function<void(const engine::Container&)> serve_;
};

// By the container's Ethernet address, and by it alone: to narrow the door would take another authorisation.
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

void AheadLease::check_mac(const engine::Container& container) const {
  if (mac && Mac::parse(endpoint_of(container, false).mac) != mac)
    throw Error(
        Errc::no_path,
        fmt::format("the engine gave container {} another Ethernet address than asked for", container.name));
}

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
      break;
  }
  const auto by_path = with_deadline(options, path, deadline);
  engine::Client client(engine::Address::find(options.engine));
  if (bridge_will_come(client, client.network(request.network, deadline), deadline))
    return std::make_unique<JustAfter>(by_path, request);
  return std::make_unique<ByHelper>(by_path, request);
}

}  // namespace hostnet::exposer
