// Turns requests into leases on the ssh path.
#include "path/ssh/ssh.hpp"

#include "core/forked.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "path/clear_away.hpp"
#include "path/sidecar/clear_away.hpp"
#include "path/sidecar/labels.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sidecar.hpp"
#include "path/ssh/describe.hpp"
#include "path/ssh/dry_run.hpp"
#include "path/ssh/lease.hpp"
#include "path/ssh/target.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::minutes kPullLimit{5};

class SshExposer : public Exposer {
 public:
  explicit SshExposer(const ExposerOptions& options)
      : engine_(engine::Address::find(options.engine)),
        deadline_(options.deadline),
        notifier_(std::make_shared<Notifier>(options.on_state)),
        store_(std::make_shared<state::TunnelStore>(options.runtime_dir)),
        image_(sidecar_image()) {}

  [[nodiscard]] Path path() const noexcept override { return Path::ssh; }
  [[nodiscard]] Probe probe() override { return probe_ssh(engine_.text()); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    auto deadline = Deadline::after(deadline_);
    struct Prepared {
      std::vector<HostPort> ports;
      SshTarget target;
    };
    std::vector<Prepared> prepared;
    Listeners listeners;
    engine::Client client(engine_);
    for (const auto& request : requests) {
      auto ports = checked_ports(request);
      for (const auto& port : ports) check_port_for_ssh(port);
      auto target = resolve_for_ssh(client, request.target, request.write_alias, deadline);
      prepared.push_back({std::move(ports), std::move(target)});
    }
    // Conflicts are found before anything is pulled or created. A lease whose owner has died is none.
    const auto settings = settings_for_leases(client, deadline);
    const auto check_alias = [&](std::size_t i) {
      check_alias_is_unheld(client, requests[i],
                            {.by = name_by(prepared[i].target), .runtime_dir = store_->configured()},
                            deadline);
    };
    for (std::size_t i = 0; i < requests.size(); ++i) check_alias(i);
    for (std::size_t i = 0; i < requests.size(); ++i)
      check_host_ports(requests[i], prepared[i].ports, listeners, Loopback::either);
    if (fetch_missing_image(client, deadline)) deadline = Deadline::after(deadline_);
    std::vector<Exposure> out;  // released when a later lease fails
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (i > 0) check_alias(i);  // against the leases just made
      out.emplace_back(std::make_shared<SshLease>(settings, requests[i], std::move(prepared[i].ports),
                                                  prepared[i].target, deadline));
    }
    return out;
  }

  SshLeaseAhead expose_ahead(const std::string& network, std::vector<HostPort> wanted) {
    auto deadline = Deadline::after(deadline_);
    const ExposeRequest request{
        .target = Target::network(network), .ports = std::move(wanted), .write_alias = false};
    auto ports = checked_ports(request);
    for (const auto& port : ports) check_port_for_ssh(port);
    engine::Client client(engine_);
    auto target = resolve_for_ssh(client, request.target, false, deadline);
    target.sources.emplace();  // not known yet
    Listeners listeners;
    check_host_ports(request, ports, listeners, Loopback::either, Caller::program);
    const auto settings = settings_for_leases(client, deadline);
    if (fetch_missing_image(client, deadline)) deadline = Deadline::after(deadline_);
    auto lease = std::make_shared<SshLease>(settings, request, std::move(ports), target, deadline);
    return {.exposure = Exposure(lease),
            .serve = [lease](const engine::Container& container) { lease->serve(container); }};
  }

 private:
  // A pull has a limit of its own: its duration says nothing about the lease. Returns whether it pulled.
  bool fetch_missing_image(engine::Client& client, Deadline deadline) const {
    engine::Containers containers(client);
    if (containers.has_image(image_, deadline)) return false;
    fetch_image(containers, image_, Deadline::after(kPullLimit));
    return true;
  }

  // Removes what dead owners left.
  SshSettings settings_for_leases(engine::Client& client, Deadline deadline) {
    const std::lock_guard lock(mutex_);
    clear_dead_leases(*store_, deadline);
    remove_orphans(client, deadline);
    auto owner = owner_.lock();
    if (!owner) {
      const auto locked = store_->lock(deadline);
      owner = std::make_shared<state::Owner>(store_->folder());
    }
    owner_ = owner;
    return {.engine = engine_,
            .store = store_,
            .owner = std::move(owner),
            .image = image_,
            .release_deadline = deadline_,
            .notifier = notifier_.shared()};
  }

  engine::Address engine_;
  std::chrono::milliseconds deadline_;
  OfThisProcess<Notifier> notifier_;
  std::shared_ptr<state::TunnelStore> store_;
  std::string image_;
  std::mutex mutex_;
  std::weak_ptr<state::Owner> owner_;  // lives while a lease does
};

}  // namespace

SshLeaseAhead expose_ahead(const ExposerOptions& options, const std::string& network,
                           std::vector<HostPort> ports) {
  return SshExposer(options).expose_ahead(network, std::move(ports));
}

std::unique_ptr<Exposer> make_ssh(const ExposerOptions& options) {
  return std::make_unique<SshExposer>(options);
}

Probe probe_ssh(const std::string& engine) {
  Probe probe;
  try {
    const auto address = engine::Address::find(engine);
    // Do not try an engine elsewhere: that can take long.
    if (address.is_unix() && ::access(address.socket.c_str(), R_OK | W_OK) != 0)
      probe.reasons.push_back(
          fmt::format("the engine's socket {} cannot be opened: {}", address.socket, std::strerror(errno)));
  } catch (const Error& error) {
    probe.reasons.emplace_back(error.what());
  }
  probe.usable = probe.reasons.empty();
  return probe;
}

const PathDriver kSshPath{
    .path = Path::ssh,
    .name = "ssh",
    .serves_bridges = false,
    .serves_networks = true,
    .needs_no_network = false,
    .by_sidecar = true,
    .probed_late = false,
    .unusable = Errc::no_path,
    .hint = "start a container engine, or name its socket with --engine",
    .probe = probe_ssh,
    .make = make_ssh,
    .ahead = ssh_ahead,
    .leaves_to_another =
        [](const Error& error) {
          return error.code() == Errc::no_path || dynamic_cast<const NoSidecarImage*>(&error) != nullptr ||
                 dynamic_cast<const NoDatagrams*>(&error) != nullptr;
        },
    .port_fault =
        [](std::uint16_t port) { return port == ssh::kPort ? kSshPortReserved : std::string_view{}; },
    .rules_of = nullptr,
    .dry_run = ssh_dry_run,
    .dry_run_ahead = ssh_dry_run_ahead,
    .clear_away = clear_away_sidecar,
    .describe = describe_tunnel,
};

}  // namespace hostnet::exposer
