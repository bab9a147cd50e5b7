// Sets up, monitors and ends a lease on the ssh path.
#include "path/ssh/lease.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "engine/cutoff.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "lease/lease_id.hpp"
#include "path/sidecar/plan.hpp"
#include "path/ssh/extension.hpp"
#include "path/ssh/key.hpp"
#include "path/ssh/ssh.hpp"
#include "target/alias_holders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <future>

namespace hostnet::exposer {
namespace {

using std::chrono::seconds;

// The keeper's period: how often it publishes statistics and checks for a release by another process.
constexpr seconds kKeeperPeriod{1};
// Limit of one query of the container; the next period repeats it.
constexpr seconds kLook{2};
// Limit of undoing a failed setup. The caller's deadline may be what failed, and must not cut this short.
constexpr seconds kUndo{30};

// As kLeasePortsLabel carries them.
std::string port_list(const std::vector<HostPort>& ports) {
  std::string out;
  for (const auto& port : ports) out += (out.empty() ? "" : ",") + port.to_string();
  return out;
}

std::vector<std::string> texts_of(const std::vector<Ip>& addresses) {
  std::vector<std::string> out;
  for (const auto& address : addresses) out.push_back(address.to_string());
  return out;
}

ssh::Service service_of(const HostPort& port) {
  return {.port = port.host, .path = port.socket, .address = port.address};
}

}  // namespace

SshLease::SshLease(SshSettings settings, const ExposeRequest& request, std::vector<HostPort> wanted,
                   const SshTarget& target, Deadline deadline)
    : settings_(std::move(settings)) {
  id = new_lease_id();
  via = kSshPath.name;
  ports = std::move(wanted);
  interface = target.network.name;
  record_ = {.via = via,
             .id = id,
             .target = request.target.to_string(),
             .label = request.label,
             .owner = settings_.owner->id(),
             .engine = settings_.engine.text(),
             .sidecar = std::string(kSidecarPrefix) + id,
             .network = target.network.name,
             .address = {},
             .sources = {},
             .ports = ports,
             .alias_in = target.alias_in,
             .created = std::time(nullptr),
             .expires = std::nullopt,
             .stats = {.state = "connecting"}};
  if (target.sources)
    for (const auto source : *target.sources) record_.sources.push_back(source.to_string());
  if (request.timeout) record_.expires = state::expiry_after(*request.timeout);
  try {
    settings_.store->save(record_, deadline);
    set_up(request, target, deadline);
    keeper_ = start_thread("tchn-keeper", [this] { keep(); });
  } catch (const Error& error) {
    const auto words = sidecar_ ? sidecar_->last_words() : std::string();
    const bool is_revoked = settings_.store->is_revoked(id);
    undo();
    if (is_revoked) throw state::revoked(id);  // who released it took the sidecar away
    if (words.empty()) throw;
    throw Error(error.code(), fmt::format("{}; the sidecar's last words: {}", error.what(), words),
                error.hint(), error.sys_errno());
  } catch (...) {
    undo();
    throw;
  }
}

// For the constructor: no destructor runs after it has thrown.
void SshLease::undo() noexcept {
  for (const auto& failure : take_down(Deadline::after(kUndo)))
    log::error("lease {}: {}; run tc-hostnet list: it removes the rest", id, failure);
  tunnel_.reset();
  settings_.owner.reset();
  settings_.store->tidy();
}

SshLease::~SshLease() {
  stop_keeper();
  tunnel_.reset();  // before mutex_ and wake_: its threads call nudge()
  settings_.owner.reset();
  settings_.store->tidy();
}

void SshLease::stop_keeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

void SshLease::set_up(const ExposeRequest& request, const SshTarget& target, Deadline deadline) {
  auto client_key = ssh::Key::generate();
  const auto host_key = ssh::Key::generate();
  host_key_ = host_key.public_line();
  sources_ = target.sources;
  container_ = target.container;
  seen_ = target.network.containers;
  by_hosts_files_ = request.write_alias && !target.alias_by_dns;
  ssh::SshdSetup setup{.host_private_key = host_key.private_text(),
                       .client_public_key = client_key.public_line()};
  std::map<std::uint16_t, ssh::Service> services;
  for (const auto& port : ports) {
    setup.listen_ports.push_back(port.container);
    services.emplace(port.container, service_of(port));
  }
  const auto ways = provision(target.known, settings_.engine, target.network);
  const SidecarRequest wanted{
      .lease = id,
      .image = settings_.image,
      .network_id = target.network.id,
      .alias_by_dns = target.alias_by_dns,
      .alias_container = target.container && !target.alias_in.empty() ? target.container->id : std::string(),
      .publish_on = ways.publish_on,
      .test_run_id = test_run_id(),
      .owner = owner_label(),
      .ports = port_list(ports)};
  const SidecarReach reach{.known = target.known,
                           .network = target.network,
                           .join = ways.join,
                           .only_with_subnets = !target.sources};
  sidecar_ = std::make_unique<Sidecar>(settings_.engine, sidecar_spec(wanted, setup), reach, deadline);
  // Two leases that are made at once do not see each other's sidecar before; now the later one does.
  if (request.write_alias) {
    engine::Client client(settings_.engine);
    check_alias_is_unheld(client, request,
                          {.by = name_by(target), .runtime_dir = settings_.store->configured(), .own = id},
                          deadline);
  }
  const auto place = sidecar_->place();
  addresses_ = place.addresses;
  known.set(id, ports, texts_of(addresses_));
  gateway = place.address().to_string();
  record_.sidecar = sidecar_->id();
  record_.address = gateway;
  settings_.store->save(record_, deadline);

  const auto start = Deadline::Clock::now();
  std::packaged_task<void()> writing(
      [&] { write_aliases(place.addresses, target.container.has_value(), deadline); });
  auto aliases = writing.get_future();
  const auto writer = start_thread("tchn-alias", [&writing] { writing(); });
  ssh::TunnelSettings tunnel{
      .dial = [sidecar = sidecar_.get()](Deadline limit,
                                         const ssh::Accept& accept) { sidecar->dial(limit, accept); },
      .client = std::move(client_key),
      .host_key = host_key_,
      .services = std::move(services),
      .sources = target.sources,
      .barred = sidecar_->joined(),
      .on_state = [this](ssh::TunnelState, const std::string&) { nudge(); },
  };
  try {
    tunnel_ = std::make_unique<ssh::Tunnel>(std::move(tunnel), deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::failure, "sidecar start: the sidecar ended before its sshd answered");
  }
  const auto tunnel_time = elapsed_since(start);
  aliases.get();
  const auto& engine_times = sidecar_->times();
  const auto ssh_times = tunnel_->times();
  const auto milliseconds = [](std::chrono::microseconds span) {
    return static_cast<double>(span.count()) / 1000;
  };
  log::debug(
      "lease {}: create {:.1f} ms, start {:.1f} ms, inspect {:.1f} ms, tunnel {:.1f} ms (banner {:.1f}, "
      "handshake {:.1f}, "
      "login {:.1f}, forwards {:.1f}), alias after {:.1f} ms",
      id, milliseconds(engine_times.create), milliseconds(engine_times.start),
      milliseconds(engine_times.look), milliseconds(tunnel_time), milliseconds(ssh_times.dial),
      milliseconds(ssh_times.handshake), milliseconds(ssh_times.login), milliseconds(ssh_times.forwards),
      milliseconds(elapsed_since(start)));
  publish_stats();
}

void SshLease::serve(const engine::Container& container) {
  const auto one = served(container, false);  // on one network: `local` does not matter
  const auto& sources = one.addresses;
  {
    const std::lock_guard lock(mutex_);
    sources_ = sources;
    container_ = one;
  }
  tunnel_->set_sources(sources);
}

void SshLease::take_in(const engine::Container& container, Deadline) {
  if (!by_hosts_files_) {
    {
      const std::lock_guard lock(mutex_);
      // Once for each; the first ones were checked before the lease was made.
      if (std::ranges::find(seen_, container.id) != seen_.end()) return;
      seen_.push_back(container.id);
    }
    warn_of_own_entry(container);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    moved_.emplace_back(container.id, true);
  }
  nudge();
}

// The engine's DNS knows by itself that it left.
void SshLease::let_go(const engine::Container& container, Deadline) {
  if (!by_hosts_files_) return;
  {
    const std::lock_guard lock(mutex_);
    moved_.emplace_back(container.id, false);
  }
  nudge();
}

// The record has the container before its file has the name, so that a later process removes it.
void SshLease::name_moved(engine::Client& client) {
  std::vector<std::pair<std::string, bool>> moved;
  {
    const std::lock_guard lock(mutex_);
    moved.swap(moved_);
  }
  for (const auto& [container, is_here] : moved) {
    const bool is_named = std::ranges::find(record_.alias_in, container) != record_.alias_in.end();
    if (!is_named && !is_here) continue;
    try {
      if (!is_named) {
        record_.alias_in.push_back(container);
        settings_.store->save(record_);
      }
      const auto limit = alias_deadline(Deadline::after(settings_.release_deadline));
      if (is_here) {
        write_aliases_in(client, container, addresses_, limit, true);
        continue;
      }
      for (const auto& address : addresses_) remove_container_alias(client, container, id, limit, address);
      std::erase(record_.alias_in, container);
      settings_.store->save(record_);
    } catch (const Error& error) {
      log::warn("{}", error.what());
    }
  }
}

void SshLease::write_aliases_in(engine::Client& client, const std::string& container,
                                const std::vector<Ip>& addresses, Deadline deadline, bool bare) const {
  const auto beside = names_beside(ports);
  for (const auto& address : addresses)
    write_container_alias(client, container, address, id, deadline, beside, bare);
}

void SshLease::nudge() noexcept {
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
  }
  wake_.notify_all();
}

std::shared_ptr<Exposure::Impl> SshLease::extend(const HostPort& port) {
  check_port_for_ssh(port);
  Listeners listeners;
  check_host_port(port, false, listeners, Loopback::either,
                  [](const HostPort& instead) { return "name it as " + instead.to_string(); });
  auto key = ssh::Key::generate();
  const auto line = ssh::authorized_key(key.public_line(), {port.container});
  ssh::TunnelSettings tunnel{
      .dial = [sidecar = sidecar_.get()](Deadline limit,
                                         const ssh::Accept& accept) { sidecar->dial(limit, accept); },
      // At each attempt: a restarted sidecar has forgotten it.
      .before_login = [sidecar = sidecar_.get(), line](Deadline limit) { sidecar->permit(line, limit); },
      .client = std::move(key),
      .host_key = host_key_,
      .services = {{port.container, service_of(port)}},
      .sources = {},
      .barred = sidecar_->joined(),
      .most_lanes = 1,
      .on_state = {},
  };
  if (!life_.is_active()) throw Error(Errc::failure, fmt::format("lease {} has ended: {}", id, reason()));
  {
    const std::lock_guard lock(mutex_);
    tunnel.sources = sources_;
  }
  auto extension = std::make_shared<SshExtension>(shared_from_this(), port, std::move(tunnel),
                                                  Deadline::after(settings_.release_deadline));
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(extensions_, [](const auto& one) { return one.expired(); });
    extensions_.push_back(extension);
  }
  if (!life_.is_active()) {  // take_down() may have missed this extension
    extension->end("its lease has ended");
    throw Error(Errc::failure, fmt::format("lease {} has ended: {}", id, reason()));
  }
  nudge();
  return extension;
}

// An extension holds a reference to this lease. The one locked here may be the last to both, and the lease
// must not be destroyed in its keeper's thread: the notifier drops it.
void SshLease::for_each_extension(const std::function<void(SshExtension&)>& work) const {
  std::vector<std::weak_ptr<SshExtension>> all;
  {
    const std::lock_guard lock(mutex_);
    all = extensions_;
  }
  for (const auto& one : all) {
    auto extension = one.lock();
    if (!extension) continue;
    work(*extension);
    settings_.notifier->drop(std::move(extension));
  }
}

void SshLease::write_aliases(const std::vector<Ip>& addresses, bool is_for_one, Deadline deadline) {
  if (record_.alias_in.empty()) return;
  engine::Client client(settings_.engine);
  const auto limit = alias_deadline(deadline);
  for (std::size_t i = 0; i < record_.alias_in.size(); ++i) {
    const auto& container = record_.alias_in[i];
    try {
      write_aliases_in(client, container, addresses, limit);
    } catch (const Error& error) {
      // One container of a network must not keep the others from their alias.
      if (!is_for_one) {
        log::warn("{}", error.what());
        continue;
      }
      // A command that timed out may still write, and so may the first of two addresses have been written;
      // after any other error nothing is written there.
      if (error.code() != Errc::timed_out && addresses.size() == 1) record_.alias_in.resize(i);
      throw;
    }
  }
}

// A stop of this process may have cut off the creation: then only the name is known.
void SshLease::remove_sidecar(Deadline deadline) {
  if (sidecar_) return sidecar_->remove(deadline);
  if (engine::stopped_for() < std::chrono::milliseconds{0}) return;
  const engine::Undoing undoing;
  engine::Client client(settings_.engine);
  remove_recorded_sidecar(client, record_.sidecar, id, deadline);
}

// Runs every step even when one fails; returns the failures. Closes the tunnel and removes the sidecar first,
// because a container can delay an edit of its hosts file.
Failures SshLease::take_down(Deadline deadline) noexcept {
  Failures failures;
  for_each_extension([](SshExtension& one) { one.end("its lease has ended"); });
  if (tunnel_) tunnel_->close();
  bool is_answered = true;
  failures.run([&] {
    try {
      remove_sidecar(deadline);
    } catch (const Error& error) {
      is_answered = error.code() != Errc::timed_out;
      throw error.in_context(fmt::format("its sidecar tc-hostnet-{} is left", id));
    }
  });
  failures.run([&] {
    // The record stays, and what removes the sidecar by it tidies the hosts files, too.
    if (record_.alias_in.empty() || !is_answered) return;
    engine::Client client(settings_.engine);
    remove_container_aliases(client, record_.alias_in, id, deadline, failures);
  });
  if (failures.empty()) settings_.store->remove(id);
  return failures;
}

void SshLease::release() {
  if (!life_.begin_end(ExposureState::released, "released")) return life_.wait_over();
  const LeaseLife::Ending ending(life_);
  stop_keeper();
  take_down(Deadline::after(settings_.release_deadline))
      .raise("lease " + id, "run tc-hostnet list: it removes the rest");
}

// Ends the lease in the keeper's thread, without a request of the owner.
void SshLease::end(ExposureState state, const std::string& reason) {
  if (!life_.begin_end(state, reason)) return;
  for (const auto& failure : take_down(Deadline::after(settings_.release_deadline)))
    log::error("lease {}: {}", id, failure);
  life_.over();
  settings_.notifier->tell(id, state, reason);
}

void SshLease::keep() {
  engine::Client client(settings_.engine);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kKeeperPeriod, [&] { return stopping_ || nudged_; });
      if (stopping_) return;
      nudged_ = false;
    }
    if (!life_.is_active()) return;
    try {
      look_after(client);
    } catch (const std::exception& error) {
      log::warn("lease {}: {}", id, error.what());
    }
  }
}

void SshLease::look_after(engine::Client& client) {
  if (!settings_.store->contains(id)) return end(ExposureState::released, "released by another process");
  if (tunnel_->state() == ssh::TunnelState::failed) {
    // Another process that releases the lease removes the record first, then the sidecar.
    if (!settings_.store->contains(id)) return end(ExposureState::released, "released by another process");
    return end(ExposureState::failed, tunnel_->stats().reason);
  }
  if (record_.expires && std::time(nullptr) >= *record_.expires)
    return end(ExposureState::released, "its time is up");
  if (const auto reason = end_of_container(client)) return end(ExposureState::released, *reason);
  follow_sidecar(client);
  name_moved(client);
  publish_stats();
}

// The engine may give the container's address to another container, which the lease does not serve.
std::optional<std::string> SshLease::end_of_container(engine::Client& client) const {
  std::optional<ServedContainer> container;
  {
    const std::lock_guard lock(mutex_);
    container = container_;
  }
  if (!container) return std::nullopt;
  try {
    const auto now = client.container(container->id, Deadline::after(kLook));
    if (!now.running || now.pid != container->pid) return "its container has stopped";
    const bool is_there = std::ranges::any_of(now.endpoints, [&](const engine::Endpoint& endpoint) {
      return endpoint.addresses() == container->addresses;
    });
    if (!is_there) return fmt::format("its container has left network {}", interface);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return "its container has stopped";
    log::debug("lease {}: cannot inspect its container: {}", id, error.what());
  }
  return std::nullopt;
}

// A restarted sidecar may have another address: the alias follows it.
void SshLease::follow_sidecar(engine::Client& client) {
  const auto addresses = sidecar_->place().addresses;
  if (addresses == addresses_) return;
  const auto first = addresses.front().to_string();
  log::info("lease {}: the sidecar has moved to {}", id, first);
  const auto deadline = alias_deadline(Deadline::after(settings_.release_deadline));
  for (const auto& container : record_.alias_in) {
    try {
      remove_container_alias(client, container, id, deadline);
      write_aliases_in(client, container, addresses, deadline);
    } catch (const Error& error) {  // go on with the others
      log::warn("lease {}: {} still leads to {} in a container: {}", id, kAlias, record_.address,
                error.what());
    }
  }
  addresses_ = addresses;
  known.set(id, ports, texts_of(addresses_));
  record_.address = first;
}

void SshLease::publish_stats() {
  auto stats = tunnel_->stats();
  if (const auto by = sidecar_->dialled()) {
    stats.dialled_by = by->kind();
    stats.dialled_at = by->at();
  }
  auto now = ports;
  for_each_extension([&](const SshExtension& one) {
    if (one.state() != ExposureState::active) return;
    stats.add(one.stats());
    now.push_back(one.ports.front());
  });
  if (stats == record_.stats && now == record_.ports) return;
  record_.stats = std::move(stats);
  record_.ports = std::move(now);
  settings_.store->save(record_);
}

}  // namespace hostnet::exposer
