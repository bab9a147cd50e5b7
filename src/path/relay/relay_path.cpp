// Turns requests into leases on the relay path, and shows them.
#include "path/relay/relay_path.hpp"

#include "core/failures.hpp"
#include "core/forked.hpp"
#include "core/join.hpp"
#include "core/log.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "lease/port_json.hpp"
#include "lease/record_socket.hpp"
#include "path/clear_away.hpp"
#include "path/relay/container_lease.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/gateway_lease.hpp"
#include "path/relay/handoff.hpp"
#include "path/relay/handoff_plan.hpp"
#include "path/relay/target.hpp"
#include "path/sidecar/clear_away.hpp"
#include "path/sidecar/sidecar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kRelayDryRunSpan{30};

Probe probe_relay(const std::string& engine) {
  Probe probe;
  try {
    const auto address = engine::Address::find(engine);
    if (address.ssh)
      probe.reasons.push_back(fmt::format("the engine at {} is on another machine", address.socket));
    else if (address.tcp)
      probe.reasons.push_back(
          fmt::format("the engine at {} is not known to be on this machine", address.text()));
    else if (::access(address.socket.c_str(), R_OK | W_OK) != 0)
      probe.reasons.push_back(
          fmt::format("the engine's socket {} cannot be opened: {}", address.socket, std::strerror(errno)));
  } catch (const Error& error) {
    probe.reasons.emplace_back(error.what());
  }
  probe.usable = probe.reasons.empty();
  return probe;
}

class RelayExposer : public Exposer {
 public:
  explicit RelayExposer(const ExposerOptions& options)
      : engine_(engine::Address::find(options.engine)),
        deadline_(options.deadline),
        notifier_(std::make_shared<Notifier>(options.on_state)),
        store_(std::make_shared<state::TunnelStore>(options.runtime_dir)) {}

  [[nodiscard]] Path path() const noexcept override { return Path::relay; }
  [[nodiscard]] Probe probe() override { return probe_relay(engine_.text()); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    const auto deadline = Deadline::after(deadline_);
    struct Prepared {
      std::vector<HostPort> ports;
      std::variant<RelayTarget, GatewayTarget> target;
    };
    std::vector<Prepared> prepared;
    Listeners listeners;
    engine::Client client(engine_);
    for (const auto& request : requests) {
      auto ports = checked_ports(request);
      if (request.target.kind() == Target::Kind::network) {
        auto target = checked_network(client, *store_, request, ports, deadline);
        check_host_ports(request, ports, listeners, Loopback::either);
        warn_of_firewall(target, ports, deadline);
        prepared.push_back({std::move(ports), std::move(target)});
        continue;
      }
      auto target = resolve_for_relay(client, *store_, request, ports, deadline);
      check_host_ports(request, ports, listeners, Loopback::either);
      prepared.push_back({std::move(ports), std::move(target)});
    }
    const auto settings = settings_for_leases(deadline);
    // They may have died between two steps of a hand-off.
    if (std::ranges::any_of(prepared, [](const Prepared& one) {
          const auto* const target = std::get_if<RelayTarget>(&one.target);
          return target != nullptr && target->by_handoff;
        }))
      remove_orphans(client, deadline);
    std::vector<Exposure> out;  // released when a later lease fails
    for (std::size_t i = 0; i < requests.size(); ++i)
      out.emplace_back(make_lease(settings, requests[i], std::move(prepared[i].ports),
                                  std::move(prepared[i].target), deadline));
    return out;
  }

  GatewayAhead expose_ahead(const ExposeRequest& request, Deadline deadline) {
    engine::Client client(engine_);
    auto ports = checked_ports(request);
    Listeners listeners;
    check_host_ports(request, ports, listeners, Loopback::either, Caller::program);
    auto target = checked_network(client, *store_, request, ports, deadline);
    check_firewall_ahead(target, ports, deadline);
    auto lease =
        std::make_shared<GatewayLease>(settings_for_leases(deadline), request, std::move(ports),
                                       std::move(target), relay::Peers::From::container_to_come, deadline);
    return {Exposure(lease), lease.get()};
  }

 private:
  static std::shared_ptr<Exposure::Impl> make_lease(const RelaySettings& settings,
                                                    const ExposeRequest& request, std::vector<HostPort> ports,
                                                    std::variant<RelayTarget, GatewayTarget> target,
                                                    Deadline deadline) {
    if (auto* const network = std::get_if<GatewayTarget>(&target))
      return std::make_shared<GatewayLease>(settings, request, std::move(ports), std::move(*network),
                                            relay::Peers::From::network, deadline);
    return std::make_shared<ContainerLease>(settings, request, std::move(ports),
                                            std::get<RelayTarget>(std::move(target)), deadline);
  }

  RelaySettings settings_for_leases(Deadline deadline) {
    const std::lock_guard lock(mutex_);
    clear_dead_leases(*store_, deadline);
    auto owner = owner_.lock();
    if (!owner) {
      const auto locked = store_->lock(deadline);
      owner = std::make_shared<state::Owner>(store_->folder());
    }
    owner_ = owner;
    return {.engine = engine_,
            .store = store_,
            .owner = std::move(owner),
            .release_deadline = deadline_,
            .notifier = notifier_.shared()};
  }

  engine::Address engine_;
  std::chrono::milliseconds deadline_;
  OfThisProcess<Notifier> notifier_;
  std::shared_ptr<state::TunnelStore> store_;
  std::mutex mutex_;
  std::weak_ptr<state::Owner> owner_;  // lives while a lease does
};

constexpr std::chrono::seconds kEngineSettles{5};
constexpr std::chrono::milliseconds kSettlingPause{100};

// The engine may still be busy with what the killed process asked for: Podman fails to remove a container
// that is just ending.
template <class Work>
void when_settled(Deadline deadline, Work work) {
  const auto limit =
      Deadline::after(std::min<std::chrono::milliseconds>(kEngineSettles, deadline.remaining()));
  for (;;) {
    try {
      return work();
    } catch (const Error& error) {
      const bool may_pass = error.code() == Errc::engine_error || error.code() == Errc::conflict;
      if (!may_pass || limit.expired()) throw;
      log::debug("trying again: {}", error.what());
    }
    std::this_thread::sleep_for(kSettlingPause);
  }
}

// As clear_away_sidecar(), but only the engine leads to the hosts file.
void clear_away_handoff(const state::TunnelStore& store, const state::TunnelRecord& record,
                        Deadline deadline) {
  Failures failures;
  engine::Client client(engine::Address::recorded(record.engine, "the lease's record"));
  failures.run([&] {
    when_settled(deadline, [&] { remove_recorded_sidecar(client, record.sidecar, record.id, deadline); });
  });
  state::remove_socket(store, relay::handoff_name(record.id));
  for (const auto& container : record.alias_in) {
    try {
      when_settled(deadline, [&] {
        relay::remove_alias_by_handoff(client, store, container, record.id, alias_deadline(deadline));
      });
    } catch (const Error& error) {
      if (error.code() == Errc::engine_unavailable || error.code() == Errc::engine_error)
        failures.add(error.what());
      else
        log::warn("{}", error.what());
    }
  }
  failures.raise("lease " + record.id);
  store.forget(record);
}

void clear_away_relay(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline deadline) {
  if (record.handed_off) return clear_away_handoff(store, record, deadline);
  clear_away_sidecar(store, record,
                     deadline);  // it has none: what a dead owner leaves is the alias
}

DryRun network_dry_run(const ExposeRequest& request, const GatewayTarget& target,
                       const std::vector<HostPort>& ports) {
  const auto address = target.gateway.to_string();
  DryRun out;
  for (const auto& [at, port] : relay::gateway_sockets(target, ports.size()))
    out.lines.push_back(
        fmt::format("# listen at {}:{} for what comes in by bridge {}, except from this host, and join its "
                    "connections with {}",
                    at.to_string(), ports[port].container, target.bridge, ports[port].service()));
  const auto names = request.write_alias ? target.containers : std::vector<std::string>{};
  if (request.write_alias)
    out.lines.push_back(
        fmt::format("# write {} and {} into the hosts files of {} containers, and of those that start later",
                    address, kAlias, names.size()));
  out.object = json::Value{{"via", kRelayPath.name},
                           {"network", target.network},
                           {"bridge", target.bridge},
                           {"address", address},
                           {"sources", std::vector<std::string>{}},
                           {"ports", to_json(ports)},
                           {"alias_in", names}};
  return out;
}

DryRun relay_dry_run(const ExposeRequest& request, const ExposerOptions& options) {
  const auto deadline = Deadline::after(kRelayDryRunSpan);
  auto ports = checked_ports(request);
  engine::Client client(engine::Address::find(options.engine));
  const state::TunnelStore store(options.runtime_dir);
  if (request.target.kind() == Target::Kind::network)
    return network_dry_run(request, checked_network(client, store, request, ports, deadline), ports);
  const auto target = resolve_for_relay(client, store, request, ports, deadline);
  const auto address = relay::kInside.to_string();
  DryRun out;
  if (target.by_handoff)
    out.lines.push_back(fmt::format(
        "# start a container of image {} once, which shares the network of container {}, makes the "
        "sockets there and hands them over",
        relay::kHandoffRepository, target.container.name));
  for (const auto& port : ports)
    out.lines.push_back(
        fmt::format("# listen at {}:{} in the network of container {} (process {}), and join "
                    "its connections with {}",
                    address, port.container, target.container.name, target.net.pid, port.service()));
  out.lines.push_back(
      "# that is, at higher ports, to which nf_tables rules in that network lead, if the kernel takes them: "
      "the "
      "container can bind the ports itself");
  if (request.write_alias)
    out.lines.push_back(fmt::format("# write {} and {} into the hosts file of container {}", address, kAlias,
                                    target.container.name));
  out.object = json::Value{
      {"via", kRelayPath.name},
      {"container", target.container.name},
      {"container_id", target.container.id.substr(0, 12)},
      {"pid", target.net.pid},
      {"handoff", target.by_handoff},
      {"network", target.network},
      {"address", address},
      {"sources", target.sources},
      {"ports", to_json(ports)},
      {"alias_in", request.write_alias ? std::vector{target.container.id} : std::vector<std::string>{}}};
  return out;
}

RecordView describe_relay(const state::TunnelRecord& record) {
  const auto& stats = record.stats;
  const bool at_gateway = !record.bridge.empty();
  RecordView out{.kind = at_gateway ? "bridge" : "container",
                 .id = at_gateway ? record.bridge : record.container.substr(0, 12),
                 .way = "relay",
                 .state = fmt::format("{}{}{}, {}", stats.state, stats.reason.empty() ? "" : ": ",
                                      stats.reason, state::carried(stats)),
                 .members = {}};
  std::vector<std::string> listens;
  for (std::size_t i = 0; i < record.ports.size() && !record.address.empty(); ++i)
    listens.push_back(state::listens_at(record, i));
  if (!record.container.empty()) {
    out.members.emplace_back("container_id", json::Item(record.container.substr(0, 12)));
    out.listens = join(listens, ", ");
  }
  if (at_gateway) out.members.emplace_back("bridge", json::Item(record.bridge));
  out.members.emplace_back("relay", json::Value{{"state", stats.state},
                                                {"reason", stats.reason},
                                                {"connections_open", stats.open},
                                                {"connections", stats.accepted},
                                                {"refused_unserved", stats.unserved},
                                                {"refused_strangers", stats.strangers},
                                                {"bytes_to_host", stats.bytes_to_host},
                                                {"bytes_from_host", stats.bytes_from_host},
                                                {"listens", listens}});
  return out;
}

}  // namespace

std::unique_ptr<Exposer> make_relay(const ExposerOptions& options) {
  return std::make_unique<RelayExposer>(options);
}

GatewayAhead expose_at_gateway(const ExposerOptions& options, const ExposeRequest& request,
                               Deadline deadline) {
  return RelayExposer(options).expose_ahead(request, deadline);
}

const PathDriver kRelayPath{
    .path = Path::relay,
    .name = "relay",
    .serves_bridges = false,
    .serves_networks = true,
    .needs_no_network = true,
    .by_sidecar = false,
    .probed_late = false,
    .unusable = Errc::no_path,
    .hint = "start a container engine on this machine, or name its socket with --engine",
    .probe = probe_relay,
    .make = make_relay,
    .ahead = relay_ahead,
    .leaves_to_another = [](const Error& error) { return error.code() == Errc::no_path; },
    .port_fault = [](std::uint16_t) { return std::string_view{}; },
    .rules_of = nullptr,
    .dry_run = relay_dry_run,
    .dry_run_ahead = relay_dry_run_ahead,
    .clear_away = clear_away_relay,
    .owner_closes = true,
    .describe = describe_relay,
};

}  // namespace hostnet::exposer
