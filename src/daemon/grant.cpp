// Looks, decides again, and makes the lease.
#include "daemon/grant.hpp"

#include "core/file.hpp"
#include "daemon/calls.hpp"
#include "daemon/sdbus.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"
#include "lease/owner.hpp"
#include "netlink/link.hpp"
#include "path/native/native.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <utility>

namespace hostnet::daemon {
namespace {

constexpr std::chrono::seconds kHoldDeadline{10};

Sight look_again(const Grant& grant, const std::vector<std::string>& allowed) {
  Sight sight;
  try {
    sight = look(grant.request, allowed);
  } catch (const Error& error) {
    throw named_error(dbus::kNetworkChanged, error.what());
  }
  auto before = grant.network;
  before.route_localnet = sight.network.route_localnet;  // another lease may have set it in the meantime
  if (sight.network != before)
    throw named_error(dbus::kNetworkChanged, fmt::format("{} changed while the request was being authorised",
                                                         sight.network.interface));
  auto decision = authorise(grant.method, grant.caller,
                            {.request = &grant.request, .listeners = &sight.listeners}, grant.granted);
  // A worker cannot ask polkit.
  if (decision.verdict == Ruling::Verdict::ask) decision.verdict = Ruling::Verdict::deny;
  check_not_denied(decision);
  sight.network.route_localnet = grant.network.route_localnet;
  return sight;
}

state::Lease lease_for(const Grant& grant, const Network& network) {
  const auto& request = grant.request;
  netlink::Rtnl rtnl;
  state::Lease lease;
  lease.target = fmt::format("bridge {}", network.interface);
  lease.label = request.label;
  lease.ifindex = network.ifindex;
  lease.gateways = network.gateways;
  lease.sources = request.sources;
  lease.mac = request.mac;
  auto port = find_port(rtnl, request);
  lease.port = std::move(port.name);
  lease.unpinned = std::move(port.fault);
  lease.ports = request.ports;
  lease.expose_own = grant.granted == Action::expose_own;
  if (request.timeout) lease.expires = state::expiry_after(*request.timeout);
  const auto pid = grant.caller.pid;
  lease.owner.pid = pid;
  lease.owner.start = process_start_time(pid).value_or(0);
  lease.owner.uid = grant.caller.uid;
  lease.owner.command = command_of(pid);
  lease.owner.lifetime = request.lifetime;
  return lease;
}

[[noreturn]] void throw_caller_left() { throw Error(Errc::failure, "the caller has left the bus"); }

}  // namespace

Sight look(const Request& request, const std::vector<std::string>& allowed) {
  netlink::Rtnl rtnl;
  auto network = judge(look_at(rtnl, request.ifindex), request, allowed);
  find_port(rtnl, request);  // refuses an address that is behind two ports
  return {std::move(network), listeners_of(request.ports)};
}

std::shared_ptr<Exposure> keep(Exposure exposure, std::shared_ptr<Worker> changes) {
  return {new Exposure(std::move(exposure)), [changes = std::move(changes)](Exposure* last) {
            changes->post([last = std::shared_ptr<Exposure>(last)] { return Inbox::Letter(); });
          }};
}

Held hold(const Grant& grant, exposer::Holder& holder, const std::vector<std::string>& allowed,
          const std::shared_ptr<Worker>& changes) {
  if (*grant.left) throw_caller_left();
  auto sight = look_again(grant, allowed);
  const auto& network = sight.network;
  auto lease = lease_for(grant, network);
  exposer::check_way(lease, network.interface, grant.request.require_listener);
  auto keepalive = state::make_keepalive(holder.store().folder());
  lease.owner.token = keepalive.token;

  state::Bridge bridge;
  bridge.ifindex = network.ifindex;
  bridge.name = network.interface;
  bridge.prior_route_localnet = network.route_localnet;
  auto exposures = holder.hold({lease}, {bridge}, Deadline::after(kHoldDeadline));
  if (!lease.sources.empty()) exposer::warn_if_unpinned(exposures.front().id(), exposures.front().unpinned());
  if (*grant.left) throw_caller_left();  // the exposure's destructor releases it, in this thread

  lease.id = exposures.front().id();
  lease.created = std::time(nullptr);
  return {.lease = std::move(lease),
          .interface = network.interface,
          .exposure = keep(std::move(exposures.front()), changes),
          .keepalive = std::move(keepalive.fd),
          .listeners = std::move(sight.listeners)};
}

}  // namespace hostnet::daemon
