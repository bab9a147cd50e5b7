// Sets up, monitors and ends a lease on the relay path.
#include "path/relay/lease.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "hostnet/error.hpp"
#include "lease/lease_id.hpp"
#include "path/relay/relay_path.hpp"

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
                       Ipv4 address, const std::string& network)
    : settings_(std::move(settings)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw Error::from_errno("eventfd", errno);
  id = new_lease_id();
  via = kRelayPath.name;
  ports = std::move(wanted);
  gateway = address.to_string();
  interface = network;
  record_ = {.via = via,
             .id = id,
             .target = request.target.to_string(),
             .label = request.label,
             .owner = settings_.owner->id(),
             .engine = settings_.engine.text(),
             .sidecar = {},
             .network = interface,
             .address = gateway,
             .sources = {},
             .ports = ports,
             .alias_in = {},
             .created = std::time(nullptr),
             .expires = std::nullopt,
             .stats = {.state = "connecting"}};
  if (request.timeout) record_.expires = state::expiry_after(*request.timeout);
}

void RelayLease::begin(Deadline deadline) {
  try {
    settings_.store->save(record_, deadline);
    revoked_.emplace(*settings_.store, id);
    check_rivals();
    open(deadline);
    write_names(deadline);
    record_.stats = stats();
    settings_.store->save(record_, deadline);
    keeper_ = start_thread("tchn-keeper", [this] { keep(); });
  } catch (...) {
    const bool is_revoked = settings_.store->is_revoked(id);
    undo();
    if (is_revoked) throw state::revoked(id);  // who released it took away what this waited for
    throw;
  }
}

// For a constructor: the kind of lease is still whole.
void RelayLease::undo() noexcept {
  for (const auto& failure : take_down(Deadline::after(kUndoRelay))) log::error("lease {}: {}", id, failure);
  settings_.owner.reset();
  settings_.store->tidy();
}

RelayLease::~RelayLease() {
  served_.clear();
  settings_.owner.reset();
  settings_.store->tidy();
}

void RelayLease::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto told = ::write(wake_.get(), &one, sizeof one);
}

void RelayLease::stop_keeper() noexcept {
  stopping_ = true;
  wake();
  if (keeper_.joinable()) keeper_.join();
}

void RelayLease::serve(std::size_t port, Ipv4 address, Fd socket,
                       const std::shared_ptr<relay::Peers>& peers) {
  const auto is_it = [&](const Served& one) { return one.port == port && one.address == address; };
  if (std::ranges::none_of(served_, is_it))
    served_.push_back({port, address, std::make_shared<relay::Counters>(), std::nullopt, false});
  auto& one = *std::ranges::find_if(served_, is_it);
  one.forward.reset();
  one.forward.emplace(std::move(socket), relay::Service::of(ports[port]), one.counters,
                      relay::Relay::of_process(), peers);
}

// Runs every step even when one fails. Closes the sockets first, because a container can delay an edit of its
// hosts file.
Failures RelayLease::take_down(Deadline deadline) noexcept {
  Failures failures;
  failures.run([&] { served_.clear(); });
  close_rest();
  failures.run([&] { remove_remains(deadline); });
  failures.run([&] { remove_names(deadline, failures); });
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

void RelayLease::end(ExposureState state, const std::string& reason) {
  if (!life_.begin_end(state, reason)) return;
  for (const auto& failure : take_down(Deadline::after(settings_.release_deadline)))
    log::error("lease {}: {}", id, failure);
  life_.over();
  settings_.notifier->tell(id, state, reason);
}

std::chrono::milliseconds RelayLease::period() const { return kKeeperLook; }

void RelayLease::keep() {
  using Clock = std::chrono::steady_clock;
  auto next = Clock::now() + period();
  while (life_.is_active()) {
    std::array<pollfd, 3> fds{
        {{wake_.get(), POLLIN, 0}, {watched(), POLLIN, 0}, {revoked_->fd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    if (::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) < 0 &&
        errno != EINTR)
      return;
    if (stopping_) return;
    const bool others_changed = (fds[2].revents & POLLIN) != 0 && !revoked_->read();
    if (others_changed && fds[0].revents == 0 && fds[1].revents == 0 && Clock::now() < next) continue;
    if ((fds[0].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
    }
    try {
      look((fds[1].revents & POLLIN) != 0);
      if (life_.is_active()) check();
    } catch (const std::exception& error) {
      log::warn("lease {}: {}", id, error.what());
    }
    next = Clock::now() + period();
  }
}

void RelayLease::check() {
  if (!settings_.store->contains(id)) return end(ExposureState::released, "released by another process");
  if (record_.expires && std::time(nullptr) >= *record_.expires)
    return end(ExposureState::released, "its time is up");
  auto now = stats();
  if (now == record_.stats) return;
  record_.stats = std::move(now);
  save();
}

state::TunnelStats RelayLease::stats() {
  state::TunnelStats out{.state = "up"};
  if (auto reason = blocked(); !reason.empty()) {
    out.state = "blocked";
    out.reason = std::move(reason);
  }
  for (auto& served : served_) {
    const auto& one = *served.counters;
    out.accepted += one.accepted;
    out.unserved += one.unserved;
    out.strangers += one.strangers;
    out.bytes_to_host += one.bytes_to_host;
    out.bytes_from_host += one.bytes_from_host;
    out.open += one.open;
    const bool is_taken = served.forward && one.listen_error != 0;
    if (is_taken) {
      out.state = "blocked";
      out.reason = taken(served);
      if (!served.warned)
        log::warn("lease {}: {}; {}:{} leads there", id, out.reason, kAlias, ports[served.port].container);
    }
    served.warned = is_taken;
  }
  return out;
}

}  // namespace hostnet::exposer
