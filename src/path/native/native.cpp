// The native path: turns requests into leases, after all checks.
#include "path/native/native.hpp"

#include "core/forked.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/backend.hpp"
#include "firewall/input_check.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/notifier.hpp"
#include "netlink/sock_diag.hpp"
#include "path/native/ahead.hpp"
#include "path/native/dry_run.hpp"
#include "path/native/holder.hpp"
#include "path/sidecar/clear_away.hpp"
#include "path/sidecar/sidecar.hpp"
#include "target/alias_holders.hpp"
#include "target/resolve.hpp"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <algorithm>
#include <ctime>
#include <map>

namespace hostnet::exposer {
namespace {

using netlink::Listener;

bool has_capability(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

bool is_bound_to(const Listener& listener, Ipv4 address) {
  if (listener.ipv6 || !listener.serves(address)) return false;
  return std::ranges::any_of(std::span(listener.address).first(4), [](auto byte) { return byte != 0; });
}

// The forward would hide a service on the gateway's own address and port from the containers.
void check_gateway_port(const HostPort& port, Ipv4 gateway, Listeners& listeners) {
  for (const auto& listener : listeners.on(port.protocol, port.container)) {
    if (!listener.serves(gateway) || listener.device == netlink::kLoopbackDevice) continue;
    const bool same_service_anyway = !is_bound_to(listener, gateway) && port.host == port.container;
    if (same_service_anyway) continue;
    throw Error(Errc::conflict,
                fmt::format("a service of uid {} listens on {} already, which containers reach as {}:{}",
                            listener.uid, listener.to_string(), gateway.to_string(), port.container),
                "choose another container port (HOST:CONTAINER), or put the exposure before it with --force");
  }
}

void check_firewall(const std::string& bridge) {
  if (!has_capability(CAP_NET_ADMIN)) return;  // a dry run without privilege cannot see the firewall
  const auto blocker = firewall::find_blocker(bridge);
  if (!blocker) return;
  throw Error(
      Errc::firewall_blocked,
      fmt::format(
          "the firewall chain {} drops what it does not know, and no rule of another table can overrule "
          "it for traffic from {}",
          blocker->chain, bridge),
      fmt::format("let it in with: {} (or go on regardless with --force)", blocker->remedy));
}

// Before anything is set up, what write_names() would find. A file that cannot be read is its matter.
void check_name(const engine::AliasRecord& record, const ExposeRequest& request,
                const std::vector<Ipv4>& gateways, const std::string& runtime_dir) {
  std::string hosts;
  try {
    hosts = engine::read_hosts_outside(record);
  } catch (const Error& error) {
    return log::debug("the hosts file of container {} is not read: {}", engine::called(record), error.what());
  }
  check_hosts_file(hosts, engine::called(record), request, {gateways.begin(), gateways.end()}, runtime_dir);
}

class NativeExposer : public Exposer {
 public:
  explicit NativeExposer(const ExposerOptions& options)
      : engine_(options.engine),
        runtime_dir_(options.runtime_dir),
        deadline_(options.deadline),
        holder_(
            std::make_shared<Holder>(Holder::Settings{.runtime_dir = state::runtime_dir(options.runtime_dir),
                                                      .release_deadline = options.deadline,
                                                      .on_end = by_notifier(options.on_state),
                                                      .firewall = options.firewall})) {}

  [[nodiscard]] Path path() const noexcept override { return Path::native; }
  [[nodiscard]] Probe probe() override { return probe_native(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    const auto deadline = Deadline::after(deadline_);
    auto prepared = prepared_at_last(requests, deadline);
    if (prepared.leases.empty()) return {};
    auto exposures = holder_->hold(std::move(prepared.leases), prepared.bridges, deadline);
    for (const auto& exposure : exposures) warn_if_unpinned(exposure.id(), exposure.unpinned());
    return exposures;
  }

 private:
  // A sidecar in the way may be that of a killed owner, of any user.
  Prepared prepared_at_last(std::span<const ExposeRequest> requests, Deadline deadline) {
    try {
      return prepare(requests, engine_, deadline, Caller::command, runtime_dir_);
    } catch (const Error& error) {
      if (error.code() != Errc::conflict || !std::ranges::any_of(requests, is_of_engine)) throw;
    }
    engine::Client client(engine::Address::find(engine_));
    remove_orphans(client, deadline);
    return prepare(requests, engine_, deadline, Caller::command, runtime_dir_);
  }

  static bool is_of_engine(const ExposeRequest& request) {
    return request.target.kind() == Target::Kind::container || request.target.kind() == Target::Kind::network;
  }

  std::string engine_;
  std::string runtime_dir_;
  std::chrono::milliseconds deadline_;
  OfThisProcess<Holder> holder_;
};

}  // namespace

std::function<void(const Ended&)> by_notifier(const StateCallback& callback) {
  if (!callback) return {};
  return [notifier = std::make_shared<Notifier>(callback)](const Ended& ended) {
    notifier->tell(ended.lease, ended.state(), ended.reason);
  };
}

Prepared prepare(std::span<const ExposeRequest> requests, const std::string& engine, Deadline deadline,
                 Caller caller, const std::string& runtime_dir) {
  netlink::Rtnl rtnl;
  Resolver resolver(rtnl, engine);
  Listeners listeners;
  Prepared prepared;
  std::map<int, state::Bridge> bridges;
  for (const auto& request : requests) {
    auto ports = checked_ports(request);
    for (const auto& port : ports) check_ipv4_service(port, "native path");
    const auto resolved = resolver.resolve(request.target, request.write_alias, request.force, deadline);
    check_alias_is_unheld(engine, request, {.runtime_dir = runtime_dir}, deadline);
    if (request.target.kind() == Target::Kind::container)
      for (const auto& record : resolved.aliases) check_name(record, request, resolved.gateways, runtime_dir);
    if (!request.force && !bridges.contains(resolved.bridge.ifindex)) check_firewall(resolved.bridge.name);
    if (!request.force)
      for (const auto& port : ports)
        for (const auto gateway : resolved.gateways) check_gateway_port(port, gateway, listeners);
    check_host_ports(request, ports, listeners, ipv4_loopback(request), caller);
    bridges.emplace(resolved.bridge.ifindex,
                    state::Bridge{.ifindex = resolved.bridge.ifindex,
                                  .name = resolved.bridge.name,
                                  .prior_route_localnet = resolved.bridge.route_localnet});
    state::Lease lease;
    lease.target = request.target.to_string();
    lease.label = request.label;
    lease.ifindex = resolved.bridge.ifindex;
    lease.gateways = resolved.gateways;
    lease.sources = resolved.sources;
    lease.port = resolved.port.name;
    lease.unpinned = resolved.port.fault;
    lease.ports = std::move(ports);
    lease.served = resolved.served;
    lease.aliases = resolved.aliases;
    if (request.timeout) lease.expires = state::expiry_after(*request.timeout);
    prepared.leases.push_back(std::move(lease));
  }
  for (auto& [ifindex, bridge] : bridges) prepared.bridges.push_back(std::move(bridge));
  return prepared;
}

void check_way(const state::Lease& lease, const std::string& bridge, bool require_listener) {
  check_firewall(bridge);
  Listeners listeners;
  for (const auto& port : lease.ports) {
    for (const auto gateway : lease.gateways) check_gateway_port(port, gateway, listeners);
    check_host_port(port, require_listener, listeners, Loopback::ipv4,
                    [](const HostPort& instead) { return "ask for " + instead.to_string(); });
  }
}

std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge) {
  return traffic_of(lease, bridge, firewall::read_traffic());
}

std::vector<PortTraffic> traffic_of(const state::Lease& lease, const std::string& bridge,
                                    std::span<const firewall::ForwardTraffic> forwards) {
  const auto is_among = [](const auto& list, Ipv4 address) {
    return std::ranges::find(list, address) != list.end();
  };
  std::vector<PortTraffic> out(lease.ports.size());
  for (const auto& [forward, packets, bytes] : forwards) {
    if (forward.bridge != bridge || !is_among(lease.gateways, forward.gateway)) continue;
    if (forward.source ? !is_among(lease.sources, *forward.source) : !lease.sources.empty()) continue;
    for (std::size_t i = 0; i < lease.ports.size(); ++i) {
      const auto& port = lease.ports[i];
      if (port.protocol != forward.protocol || port.container != forward.listen ||
          port.host != forward.host || ipv4_of(port) != forward.service)
        continue;
      out[i].packets += packets;
      out[i].bytes += bytes;
    }
  }
  return out;
}

Probe probe_native() {
  Probe probe;
  const std::string advice = ::geteuid() == 0 ? "" : " (run it as root)";
  if (!has_capability(CAP_NET_ADMIN)) probe.reasons.push_back("it needs CAP_NET_ADMIN" + advice);
  if (!has_capability(CAP_NET_RAW)) probe.reasons.push_back("it needs CAP_NET_RAW" + advice);
  probe.usable = probe.reasons.empty();
  return probe;
}

std::unique_ptr<Exposer> make_native(const ExposerOptions& options) {
  return std::make_unique<NativeExposer>(options);
}

Path path_of(const state::Lease& lease) noexcept {
  return lease.owner.lifetime == state::Lifetime::process ? Path::native : Path::helper;
}

const PathDriver kNativePath{
    .path = Path::native,
    .name = "native",
    .serves_bridges = true,
    .serves_networks = true,
    .needs_no_network = false,
    .by_sidecar = false,
    .probed_late = false,
    .unusable = Errc::not_authorised,
    .hint = "run it as root: sudo tc-hostnet …",
    .probe = [](const std::string&) { return probe_native(); },
    .make = make_native,
    .ahead = native_ahead,
    .leaves_to_another = [](const Error& error) { return error.code() == Errc::no_path; },
    .port_fault = [](std::uint16_t) { return std::string_view{}; },
    .rules_of = nullptr,
    .dry_run = native_dry_run,
    .dry_run_ahead = nullptr,
    .clear_away =
        clear_away_sidecar,  // its leases have none: only one that waits for its target has a record
    .describe = nullptr,
};

}  // namespace hostnet::exposer
