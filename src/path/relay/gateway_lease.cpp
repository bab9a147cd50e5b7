// Keeps the sockets on the bridge and the names in the containers.
#include "path/relay/gateway_lease.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "lease/same_ports.hpp"
#include "netlink/link.hpp"
#include "path/relay/container_net.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;

constexpr auto kBridgeAway = 1s;
constexpr std::chrono::milliseconds kAwayLook = 100ms;
constexpr std::chrono::milliseconds kBridgeLook = 1s;
constexpr std::chrono::milliseconds kUnheardLook = 250ms;
constexpr auto kEngineLook = 2s;

std::shared_ptr<relay::Peers> peers_of(const GatewayTarget& target, relay::Peers::From from,
                                       Deadline deadline) {
  return target.net ? std::make_shared<relay::Peers>(from, target.net->own_addresses(deadline))
                    : std::make_shared<relay::Peers>(from);
}

Fd engine_of(const GatewayTarget& target, const engine::Address& engine) {
  return target.net ? target.net->engine_process(engine) : Fd();
}

netlink::Rtnl links_of(const GatewayTarget& target, Deadline deadline) {
  return target.net ? target.net->links(deadline) : netlink::Rtnl();
}

}  // namespace

GatewayLease::GatewayLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> wanted,
                           GatewayTarget target, relay::Peers::From from, Deadline deadline)
    : RelayLease(std::move(settings), request, std::move(wanted), target.gateway, target.network),
      made_for_(std::move(target)),
      target_(made_for_),
      forced_(request.force),
      peers_(peers_of(target_, from, deadline)),
      rtnl_(links_of(target_, deadline)),
      engine_(engine_of(target_, settings_.engine)) {
  record_.bridge = target_.bridge;
  record_.bridge_netns = target_.netns;
  if (from == relay::Peers::From::container_to_come)
    record_.target = fmt::format("a new container on network {}", target_.network);
  else if (request.write_alias)
    record_.alias_in = target_.containers;
  known.set(id, ports, {gateway});
  begin(deadline);
}

void GatewayLease::check_rivals() { check_gateway_is_unheld(*settings_.store, target_, ports, id); }

void GatewayLease::open(Deadline deadline) { open_missing(deadline); }

void GatewayLease::open_missing(Deadline deadline) {
  for (const auto& [address, port] : relay::gateway_sockets(target_, ports.size())) {
    const bool is_there = std::ranges::any_of(served_, [&, at = address, which = port](const Served& one) {
      return one.address == at && one.port == which && one.forward;
    });
    if (!is_there)
      serve(port, address, relay::bind_at_gateway(target_, address, ports[port], deadline), peers_);
  }
}

// One container must not keep the others from their name.
void GatewayLease::write_names(Deadline deadline) {
  if (record_.alias_in.empty()) return;
  engine::Client client(settings_.engine);
  const auto limit = alias_deadline(deadline);
  const auto beside = names_beside(ports);
  for (const auto& container : record_.alias_in) {
    try {
      write_container_alias(client, container, target_.gateway, id, limit, beside);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) log::warn("{}", error.what());
    }
  }
}

void GatewayLease::remove_names(Deadline deadline, Failures& failures) {
  if (record_.alias_in.empty()) return;
  engine::Client client(settings_.engine);
  remove_container_aliases(client, record_.alias_in, id, deadline, failures);
}

void GatewayLease::serve_only(const engine::Container& container) {
  auto process = std::move(relay::open_container_net(container).process);
  std::vector<Ipv4> addresses;
  for (const auto& endpoint : container.endpoints)
    if (endpoint.address) addresses.push_back(*endpoint.address);
  peers_->restrict_to(addresses);
  {
    const std::scoped_lock lock(mutex_);
    one_ = One{container, std::move(addresses), std::move(process)};
    served_container_ = container;
  }
  wake();
}

std::shared_ptr<Exposure::Impl> GatewayLease::extend(const HostPort& port) {
  std::optional<engine::Container> container;
  {
    const std::scoped_lock lock(mutex_);
    container = served_container_;
  }
  if (!container) return nullptr;
  Listeners listeners;
  check_host_port(port, false, listeners, Loopback::either,
                  [](const HostPort& instead) { return "name it as " + instead.to_string(); });
  const ExposeRequest request{
      .target = Target::network(made_for_.network), .ports = {port}, .write_alias = false};
  auto more = std::make_shared<GatewayLease>(settings_, request, std::vector{port}, made_for_,
                                             relay::Peers::From::container_to_come,
                                             Deadline::after(settings_.release_deadline));
  more->serve_only(*container);
  return more;
}

void GatewayLease::take_in(const engine::Container& container, Deadline) { move(container, true); }
void GatewayLease::let_go(const engine::Container& container, Deadline) { move(container, false); }

void GatewayLease::move(const engine::Container& container, bool is_here) {
  {
    const std::scoped_lock lock(mutex_);
    moved_.push_back({container, is_here});
  }
  wake();
}

// The bridge of a container that runs does not go.
int GatewayLease::watched() const noexcept { return process_ ? process_.get() : links_.fd(); }

std::chrono::milliseconds GatewayLease::period() const {
  if (!away_.empty()) return kAwayLook;
  return target_.net ? kUnheardLook : kBridgeLook;
}

void GatewayLease::look(bool readable) {
  if (readable && process_) return end(ExposureState::released, "its container has stopped");
  if (readable) static_cast<void>(links_.read());
  become_ones();
  look_at_bridge();
  if (is_active()) name_moved();
}

// Of a lease for one container: what serve_only() has left to the keeper.
void GatewayLease::become_ones() {
  std::optional<One> one;
  {
    const std::scoped_lock lock(mutex_);
    one.swap(one_);
  }
  if (!one) return;
  process_ = std::move(one->process);
  for (auto& served : served_)
    if (served.forward) served.forward->resume();
  record_.target = Target::container(one->container.name).to_string();
  record_.container = one->container.id;
  for (const auto address : one->addresses) record_.sources.push_back(address.to_string());
  save();
}

// A link that changes its addresses is told of by no event that is heard here: the period finds that.
void GatewayLease::look_at_bridge() {
  // The names are taken out by the engine, so they wait until it is there again, and starts a container.
  if (engine_ && relay::has_ended(engine_)) {
    away_ = fmt::format("the network namespace of bridge {} is gone", target_.bridge);
    for (auto& one : served_) one.forward.reset();
    return;
  }
  const auto link = rtnl_.link(target_.bridge);
  const bool has_gateway =
      link && link->kind == "bridge" && netlink::has_address(rtnl_.addresses(link->ifindex), target_.gateway);
  if (has_gateway && link->ifindex == target_.ifindex && away_.empty()) return;
  const auto now = std::chrono::steady_clock::now();
  if (away_.empty()) {
    away_since_ = now;
    for (auto& one : served_) one.forward.reset();
  }
  away_ = !link ? fmt::format("bridge {} is gone", target_.bridge)
                : fmt::format("address {} of bridge {} is gone", target_.gateway.to_string(), target_.bridge);
  // In another namespace it would have to be found again from the beginning: a new lease does that.
  if (has_gateway && !target_.net) {
    try {
      engine::Client client(settings_.engine);
      const auto target = resolve_gateway(client, settings_.engine.text(), target_.network, forced_,
                                          Deadline::after(kEngineLook));
      if (target.gateway == target_.gateway && target.bridge == target_.bridge && !target.net) {
        target_.ifindex = target.ifindex;
        open_missing(Deadline::after(kEngineLook));
        away_.clear();
        log::info("lease {}: bridge {} is there again", id, target_.bridge);
        return;
      }
    } catch (const Error& error) {
      log::debug("lease {}: {}", id, error.what());
    }
  }
  if (now - away_since_ >= kBridgeAway) end(ExposureState::failed, away_);
}

// The record has the container before its file has the name, so that a later process removes it.
void GatewayLease::name_moved() {
  std::vector<Moved> moved;
  {
    const std::scoped_lock lock(mutex_);
    moved.swap(moved_);
  }
  for (const auto& [container, is_here] : moved) {
    if (!is_active()) return;
    const bool is_named = std::ranges::find(record_.alias_in, container.id) != record_.alias_in.end();
    if (!is_named && !is_here) continue;
    try {
      if (is_here && target_.net && !target_.net->is_that_of(container))
        return end(ExposureState::failed,
                   fmt::format("the network namespace of bridge {} is gone", target_.bridge));
      if (is_here && target_.host_gateway && has_line_for(container, *target_.host_gateway)) {
        target_.by_host_gateway = true;
        open_missing(Deadline::after(kEngineLook));
        continue;
      }
      engine::Client client(settings_.engine);
      const auto limit = alias_deadline(Deadline::after(settings_.release_deadline));
      if (is_here) {
        if (!is_named) {
          record_.alias_in.push_back(container.id);
          save();
        }
        write_container_alias(client, container.id, target_.gateway, id, limit, names_beside(ports), true);
      } else {
        remove_container_alias(client, container.id, id, limit, Ip(target_.gateway));
        std::erase(record_.alias_in, container.id);
        save();
      }
    } catch (const Error& error) {
      log::warn("{}", error.what());
    }
  }
}

std::string GatewayLease::taken(const Served& one) const {
  return fmt::format("{} now", relay::holder_of(target_, one.address, ports[one.port]));
}

std::string GatewayLease::blocked() const { return away_; }

}  // namespace hostnet::exposer
