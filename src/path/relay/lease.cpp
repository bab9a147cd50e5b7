// Sets up, monitors and ends a lease on the relay path.
#include "path/relay/lease.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "engine/alias.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "lease/lease_id.hpp"
#include "path/relay/handoff.hpp"
#include "path/relay/relay_path.hpp"
#include "path/sidecar/sidecar.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

namespace hostnet::exposer {
namespace {

using std::chrono::seconds;

constexpr seconds kKeeperLook{1};
constexpr seconds kUndoRelay{30};

}  // namespace

RelayLease::RelayLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> wanted,
                       RelayTarget target, Deadline deadline)
    : settings_(std::move(settings)),
      net_(std::move(target.net)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!stop_) throw Error::from_errno("eventfd", errno);
  id = new_lease_id();
  via = kRelayPath.name;
  ports = std::move(wanted);
  gateway = relay::kInside.to_string();
  interface = target.network;
  record_ = {.via = via,
             .id = id,
             .target = request.target.to_string(),
             .label = request.label,
             .owner = settings_.owner->id(),
             .engine = settings_.engine.text(),
             .sidecar = {},
             .network = interface,
             .address = gateway,
             .sources = std::move(target.sources),
             .ports = ports,
             .alias_in = {},
             .created = std::time(nullptr),
             .expires = std::nullopt,
             .stats = {.state = "connecting"},
             .container = target.container.id,
             .handed_off = target.by_handoff};
  if (target.by_handoff) record_.sidecar = relay::handoff_name(id);
  if (request.write_alias) record_.alias_in = {target.container.id};
  if (request.timeout) record_.expires = state::expiry_after(*request.timeout);
  try {
    settings_.store->save(record_, deadline);
    // Two leases that are made at once do not see each other's record before; now at least one of them does.
    check_ports_are_unheld(*settings_.store, target.container, record_.engine, ports, id);
    set_up(request, target, deadline);
    keeper_ = start_thread("tchn-keeper", [this] { keep(); });
  } catch (...) {
    undo();
    throw;
  }
}

std::vector<Fd> RelayLease::make_sockets(const RelayTarget& target, Deadline deadline) {
  std::vector<relay::Door> inside;
  for (const auto& port : ports)
    inside.emplace_back(port.container, port.protocol == Protocol::udp ? SOCK_DGRAM : SOCK_STREAM);
  if (target.by_handoff) {
    engine::Client client(settings_.engine);
    auto handed = relay::hand_off(
        client, *settings_.store, target.container,
        {.lease = id, .name = record_.sidecar, .hosts = !record_.alias_in.empty(), .ports = inside},
        deadline);
    hosts_ = std::move(handed.hosts);
    record_.sidecar.clear();
    // The engine may have found the namespace by the process's number, which is another's once this one has ended.
    pollfd process{net_.process.get(), POLLIN, 0};
    if (::poll(&process, 1, 0) != 0)
      throw Error(Errc::not_found, fmt::format("container {} has stopped", net_.container));
    return std::move(handed.sockets);
  }
  auto sockets = relay::bind_inside(net_, relay::kInside, inside, deadline);
  net_.netns.reset();  // not needed any more, and would keep the namespace after the container
  net_.userns.reset();
  return sockets;
}

void RelayLease::write_alias(Deadline deadline) {
  try {
    if (hosts_) {
      engine::write_alias_to(hosts_.get(), net_.container, kAlias, relay::kInside, id,
                             alias_deadline(deadline));
    } else {
      engine::Client client(settings_.engine);
      write_container_alias(client, record_.container, relay::kInside, id, alias_deadline(deadline));
    }
  } catch (const Error& error) {
    // A command that timed out may still write; after any other error nothing is written there.
    if (hosts_ || error.code() != Errc::timed_out) record_.alias_in.clear();
    throw;
  }
}

void RelayLease::set_up(const ExposeRequest& request, const RelayTarget& target, Deadline deadline) {
  auto sockets = make_sockets(target, deadline);
  const auto relay = relay::Relay::of_process();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    counters_.push_back(std::make_shared<relay::Counters>());
    forwards_.emplace_back(std::move(sockets[i]), relay::Service::of(ports[i]), counters_.back(), relay);
  }
  warned_.resize(ports.size());
  if (request.write_alias) write_alias(deadline);
  record_.stats = stats();
  settings_.store->save(record_, deadline);
}

// For the constructor: no destructor runs after it has thrown.
void RelayLease::undo() noexcept {
  for (const auto& failure : take_down(Deadline::after(kUndoRelay))) log::error("lease {}: {}", id, failure);
  settings_.owner.reset();
  settings_.store->tidy();
}

RelayLease::~RelayLease() {
  stop_keeper();
  forwards_.clear();
  settings_.owner.reset();
  settings_.store->tidy();
}

void RelayLease::stop_keeper() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto told = ::write(stop_.get(), &one, sizeof one);
  if (keeper_.joinable()) keeper_.join();
}

void RelayLease::remove_alias(Deadline deadline, Failures& failures) {
  if (hosts_) {
    try {
      return engine::remove_alias_from(hosts_.get(), id, alias_deadline(deadline));
    } catch (const Error& error) {  // the container's doing, and only that container keeps it
      return log::warn("the hosts file of container {} is not tidied: {}", net_.container, error.what());
    }
  }
  if (record_.handed_off || record_.alias_in.empty()) return;
  engine::Client client(settings_.engine);
  remove_container_aliases(client, record_.alias_in, id, deadline, failures);
}

// Runs every step even when one fails. Closes the sockets first, because a container can delay an edit of its
// hosts file.
Failures RelayLease::take_down(Deadline deadline) noexcept {
  Failures failures;
  failures.run([&] { forwards_.clear(); });
  failures.run([&] {
    if (record_.sidecar.empty()) return;  // else the hand-off failed
    engine::Client client(settings_.engine);
    remove_recorded_sidecar(client, record_.sidecar, id, deadline);
  });
  failures.run([&] { remove_alias(deadline, failures); });
  if (failures.empty()) settings_.store->remove(id);
  return failures;
}

void RelayLease::release() {
  if (!life_.begin_end(ExposureState::released, "released")) return life_.wait_over();
  const LeaseLife::Ending ending(life_);
  stop_keeper();
  take_down(Deadline::after(settings_.release_deadline))
      .raise("lease " + id, "run tc-hostnet list: it removes the rest");
}

// Ends the lease in the keeper's thread, without a request of the owner.
void RelayLease::end(ExposureState state, const std::string& reason) {
  if (!life_.begin_end(state, reason)) return;
  for (const auto& failure : take_down(Deadline::after(settings_.release_deadline)))
    log::error("lease {}: {}", id, failure);
  life_.over();
  settings_.notifier->tell(id, state, reason);
}

void RelayLease::keep() {
  std::array<pollfd, 2> fds{{{stop_.get(), POLLIN, 0}, {net_.process.get(), POLLIN, 0}}};
  constexpr int look = std::chrono::milliseconds(kKeeperLook).count();
  while (life_.is_active()) {
    if (::poll(fds.data(), fds.size(), look) < 0 && errno != EINTR) return;
    if ((fds[0].revents & POLLIN) != 0) return;
    if ((fds[1].revents & POLLIN) != 0) return end(ExposureState::released, "its container has stopped");
    try {
      check();
    } catch (const std::exception& error) {
      log::warn("lease {}: {}", id, error.what());
    }
  }
}

void RelayLease::check() {
  if (!settings_.store->contains(id)) return end(ExposureState::released, "released by another process");
  if (record_.expires && std::time(nullptr) >= *record_.expires)
    return end(ExposureState::released, "its time is up");
  auto now = stats();
  if (now == record_.stats) return;
  record_.stats = std::move(now);
  settings_.store->save(record_);
}

state::TunnelStats RelayLease::stats() {
  state::TunnelStats out{.state = "up"};
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const auto& one = *counters_[i];
    out.accepted += one.accepted;
    out.unserved += one.unserved;
    out.bytes_to_host += one.bytes_to_host;
    out.bytes_from_host += one.bytes_from_host;
    out.open += one.open;
    const bool taken = one.listen_error != 0;
    if (taken) {
      out.state = "blocked";
      out.reason = fmt::format("port {} is in use in container {} now", ports[i].container, net_.container);
      if (!warned_[i])
        log::warn("lease {}: {}; {}:{} leads there", id, out.reason, kAlias, ports[i].container);
    }
    warned_[i] = taken;
  }
  return out;
}

}  // namespace hostnet::exposer
