// Turns requests into leases of tc-hostnetd. The daemon must not ask an engine, so this side resolves the
// target and passes the result.
#include "path/helper/helper.hpp"

#include "core/forked.hpp"
#include "core/log.hpp"
#include "dbus/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "path/clear_away.hpp"
#include "path/helper/lease.hpp"
#include "path/sidecar/clear_away.hpp"
#include "target/alias_holders.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>

#include <ctime>

namespace hostnet::exposer {
namespace {

// Ids of the containers that get the alias.
std::vector<std::string> containers_of(const Target& target, const std::string& engine, Deadline deadline) {
  if (target.kind() != Target::Kind::container && target.kind() != Target::Kind::network) return {};
  engine::Client client(engine::Address::find(engine));
  if (target.kind() == Target::Kind::container) return {client.container(target.name(), deadline).id};
  return client.network(target.name(), deadline).containers;
}

class HelperExposer : public Exposer {
 public:
  explicit HelperExposer(const ExposerOptions& options)
      : options_(options),
        watch_(std::make_shared<HelperWatch>()),
        notifier_(std::make_shared<Notifier>(options.on_state)),
        store_(std::make_shared<state::TunnelStore>(options.runtime_dir)) {}

  [[nodiscard]] Path path() const noexcept override { return Path::helper; }
  [[nodiscard]] Probe probe() override { return probe_helper(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    const auto deadline = Deadline::after(options_.deadline);
    clear_dead_leases(*store_, deadline);
    std::vector<Exposure> out;  // released when a later lease fails
    for (const auto& request : requests) out.push_back(expose_one(request, std::nullopt, deadline));
    return out;
  }

  Exposure expose_one(const ExposeRequest& request, std::optional<Mac> mac, Deadline deadline) {
    dbus::ExposeCall call;
    call.ports = checked_ports(request);
    for (const auto& port : call.ports) check_ipv4_service(port, "helper path");
    if (request.force)
      throw Error(Errc::invalid_argument, "the helper does not support --force",
                  "leave out --force, or run as root: sudo tc-hostnet …");
    netlink::Rtnl rtnl;
    Resolver resolver(rtnl, options_.engine);
    const auto resolved = resolver.resolve(request.target, false, false, deadline);
    check_alias_is_unheld(options_.engine, request, {.runtime_dir = options_.runtime_dir}, deadline);
    call.ifindex = resolved.bridge.ifindex;
    call.ifname = resolved.bridge.name;
    call.gateway = resolved.gateways.front().to_string();
    if (resolved.gateways.size() > 1) call.host_gateway = resolved.gateways[1].to_string();
    for (const auto source : resolved.sources) call.sources.push_back(source.to_string());
    if (mac) call.sources.push_back(mac->to_string());
    call.label = request.label;
    call.timeout = request.timeout;
    call.require_listener = request.require_listener;
    call.interactive = options_.interactive;
    Listeners listeners;
    check_host_ports(request, call.ports, listeners, ipv4_loopback(request),
                     mac ? Caller::program : Caller::command);

    const auto aliased = request.write_alias ? containers_of(request.target, options_.engine, deadline)
                                             : std::vector<std::string>();
    HelperLease::Settings settings;
    settings.watch = watch_.shared();
    settings.store = store_;
    settings.release_deadline = options_.deadline;
    settings.notifier = notifier_.shared();
    // A network without containers may get some.
    const bool has_names =
        !aliased.empty() || (request.write_alias && request.target.kind() == Target::Kind::network);
    if (has_names) {
      settings.owner = owner(deadline);
      settings.engine = engine::Address::find(options_.engine).text();
    }
    watch_->start();
    auto lease = std::make_shared<HelperLease>(settings, dbus::Client().expose(call, deadline));
    lease->ports = call.ports;
    lease->gateway = call.gateway;
    lease->interface = call.ifname;
    lease->known.set(lease->id, lease->ports, {lease->gateway});
    watch_->add(lease->path(), lease);
    Exposure exposure(lease);  // releases the lease when a later step fails
    if (!resolved.sources.empty()) lease->ask_unpinned(deadline);
    if (has_names)
      lease->write_alias(aliased, request.target.kind() == Target::Kind::container,
                         record_of(request, *lease, settings), Deadline::after(options_.deadline));
    return exposure;
  }

 private:
  static state::TunnelRecord record_of(const ExposeRequest& request, const HelperLease& lease,
                                       const HelperLease::Settings& settings) {
    state::TunnelRecord record;
    record.via = kHelperPath.name;
    record.id = lease.id;
    record.target = request.target.to_string();
    record.label = request.label;
    record.owner = settings.owner->id();
    record.engine = settings.engine;
    record.network = lease.interface;
    record.address = lease.gateway;
    record.ports = lease.ports;
    record.created = std::time(nullptr);
    return record;
  }

  std::shared_ptr<state::Owner> owner(Deadline deadline) {
    const std::scoped_lock lock(mutex_);
    auto owner = owner_.lock();
    if (!owner) {
      const auto locked = store_->lock(deadline);
      owner = std::make_shared<state::Owner>(store_->folder());
    }
    owner_ = owner;
    return owner;
  }

  ExposerOptions options_;
  OfThisProcess<HelperWatch> watch_;
  OfThisProcess<Notifier> notifier_;
  std::shared_ptr<state::TunnelStore> store_;
  std::mutex mutex_;
  std::weak_ptr<state::Owner> owner_;  // lives while a lease does
};

}  // namespace

std::unique_ptr<Exposer> make_helper(const ExposerOptions& options) {
  return std::make_unique<HelperExposer>(options);
}

Exposure expose_to_mac(const ExposerOptions& options, const ExposeRequest& request, Mac mac) {
  return HelperExposer(options).expose_one(request, mac, Deadline::after(options.deadline));
}

Probe probe_helper() {
  Probe probe;
  try {
    dbus::Client client;
    if (!client.is_there(Deadline::after(std::chrono::seconds{2})))
      probe.reasons.emplace_back("tc-hostnetd is not installed on this machine");
  } catch (const Error& error) {
    probe.reasons.emplace_back(error.what());
  }
  probe.usable = probe.reasons.empty();
  return probe;
}

const PathDriver kHelperPath{
    .path = Path::helper,
    .name = "helper",
    .serves_bridges = true,
    .serves_networks = true,
    .needs_no_network = false,
    .by_sidecar = false,
    .probed_late = true,
    .unusable = Errc::no_path,
    .hint = "install tc-hostnetd, or run it as root: sudo tc-hostnet …",
    .probe = [](const std::string&) { return probe_helper(); },
    .make = make_helper,
    .ahead = helper_ahead,
    .leaves_to_another =
        [](const Error& error) {
          return error.code() == Errc::no_path || error.code() == Errc::not_authorised ||
                 error.code() == Errc::interaction_required;
        },
    .port_fault = [](std::uint16_t) { return std::string_view{}; },
    .rules_of = "native",
    .dry_run = nullptr,
    .dry_run_ahead = nullptr,
    .clear_away = clear_away_sidecar,  // its leases have none: the record is kept for the alias
    .describe = nullptr,
};

}  // namespace hostnet::exposer
