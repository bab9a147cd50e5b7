// Keeps the helper's leases and follows their ends.
#include "path/helper/lease.hpp"

#include "core/event_loop.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "core/thread.hpp"
#include "dbus/names.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"
#include "lease/checks.hpp"
#include "lease/container_alias.hpp"
#include "path/helper/helper.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;

constexpr auto kCallDeadline = 5s;
constexpr auto kTryAgain = 1s;
constexpr std::size_t kMostEarly = 64;

bool is_failure(const std::string& reason) {
  return reason == dbus::reason::kInterfaceGone || reason == dbus::reason::kFailed;
}

}  // namespace

// The thread's state, shared by the thread and the watch: the thread itself may drop the last reference to
// the watch, when it ends a lease that has no other holder.
class HelperWatch::Listener {
 public:
  void open();
  void run();
  void stop() noexcept { loop_.stop(); }
  void add(const std::string& path, std::weak_ptr<HelperLease> lease);
  void remove(const std::string& path);

 private:
  void listen();
  void hang_up();
  void read_events();
  void end(const std::string& path, ExposureState state, const std::string& reason);
  void take_stock();

  // The end of a lease that add() has not registered yet: its maker still waits for the helper's answer.
  struct Early {
    std::string path;
    ExposureState state;
    std::string reason;
  };

  std::mutex mutex_;  // guards what follows
  std::map<std::string, std::weak_ptr<HelperLease>> leases_;
  std::deque<Early> early_;

  EventLoop loop_;
  std::optional<dbus::Client> bus_;  // the thread's while it runs
  int bus_fd_ = -1;                  // the bus's descriptor, as registered in loop_
};

HelperWatch::HelperWatch() : listener_(std::make_shared<Listener>()) {}

HelperWatch::~HelperWatch() {
  if (!thread_.joinable()) return;
  listener_->stop();
  if (thread_.get_id() == std::this_thread::get_id())
    thread_.detach();
  else
    thread_.join();
}

void HelperWatch::start() {
  const std::scoped_lock lock(mutex_);
  if (thread_.joinable()) return;
  listener_->open();
  thread_ = start_thread("tchn-helper", [listener = listener_] { listener->run(); });
}

void HelperWatch::add(const std::string& path, std::weak_ptr<HelperLease> lease) {
  listener_->add(path, std::move(lease));
}

void HelperWatch::remove(const std::string& path) { listener_->remove(path); }

void HelperWatch::Listener::open() {
  bus_.emplace();
  bus_->watch();
}

void HelperWatch::Listener::add(const std::string& path, std::weak_ptr<HelperLease> lease) {
  std::optional<Early> ended;
  {
    const std::scoped_lock lock(mutex_);
    const auto early = std::ranges::find(early_, path, &Early::path);
    if (early == early_.end()) {
      leases_[path] = std::move(lease);
      return;
    }
    ended = std::move(*early);
    early_.erase(early);
  }
  if (const auto held = lease.lock()) held->end(ended->state, ended->reason);
}

void HelperWatch::Listener::remove(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  leases_.erase(path);
}

// Goes on without the bus: the leases do not need it, and it may come back.
void HelperWatch::Listener::run() {
  for (bool lost = false;;) {
    try {
      if (bus_) listen();
      loop_.run();
      return;
    } catch (const std::exception& error) {
      if (!lost) log::warn("listening to the helper failed: {}; retrying", error.what());
      lost = true;
      hang_up();
      loop_.after(kTryAgain, [this, &lost] {
        open();
        listen();
        take_stock();
        lost = false;
      });
    }
  }
}

// Uses the stored descriptor: a lost bus does not return it any more.
void HelperWatch::Listener::hang_up() {
  if (bus_fd_ >= 0) loop_.remove(bus_fd_);
  bus_fd_ = -1;
  bus_.reset();
}

void HelperWatch::Listener::listen() {
  const int fd = bus_->fd();
  loop_.add(fd, EPOLLIN, [this](std::uint32_t) { read_events(); });
  bus_fd_ = fd;
  read_events();  // sd-bus's queue has earlier events, which the descriptor does not signal
}

void HelperWatch::Listener::read_events() {
  while (const auto event = bus_->next_event()) {
    if (event->released) {
      const auto& [path, reason] = *event->released;
      end(path, is_failure(reason) ? ExposureState::failed : ExposureState::released, reason);
    }
    // The helper stopped or crashed. Before it stops, it announces the end of each lease.
    if (event->helper_gone) take_stock();
  }
}

void HelperWatch::Listener::end(const std::string& path, ExposureState state, const std::string& reason) {
  std::shared_ptr<HelperLease> lease;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = leases_.find(path);
    if (found == leases_.end()) {
      early_.push_back({path, state, reason});
      if (early_.size() > kMostEarly) early_.pop_front();
      return;
    }
    lease = found->second.lock();
    leases_.erase(found);
  }
  if (lease) lease->end(state, reason);
}

// Ends those of our leases that the helper no longer has. Starts the helper if needed, so that it monitors
// them.
void HelperWatch::Listener::take_stock() {
  std::set<std::string> ours;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [path, lease] : leases_) ours.insert(path);
  }
  if (ours.empty()) return;
  std::string why = "the helper has lost the lease";
  try {
    dbus::Client client;
    const auto deadline = Deadline::after(kCallDeadline);
    client.probe(0, deadline);
    for (const auto& lease : client.leases(deadline)) ours.erase(lease.path);
  } catch (const Error& error) {
    why = fmt::format("the helper has stopped and does not restart: {}", error.what());
  }
  for (const auto& path : ours) end(path, ExposureState::failed, why);
}

HelperLease::HelperLease(Settings settings, dbus::Granted granted)
    : settings_(std::move(settings)), granted_(std::move(granted)) {
  via = kHelperPath.name;
  id = granted_.lease.substr(granted_.lease.rfind('/') + 1);
}

HelperLease::~HelperLease() { settings_.watch->remove(granted_.lease); }

void HelperLease::write_alias(const std::vector<std::string>& containers, bool required,
                              state::TunnelRecord record, Deadline deadline) {
  const auto address = Ipv4::parse(record.address);
  if (!address)
    throw Error(Errc::failure, fmt::format("the gateway {} is not an address", quote(record.address)));
  record.alias_in = containers;
  change_names([&] {
    record_ = std::move(record);
    put_alias(*address, required, deadline);
  });
}

void HelperLease::change_names(const std::function<void()>& change) {
  {
    const std::scoped_lock lock(mutex_);
    is_writing_ = true;
  }
  std::exception_ptr failed;
  if (life_.is_active()) {
    try {
      change();
    } catch (const Error&) {
      failed = std::current_exception();
    }
  }
  {
    const std::scoped_lock lock(mutex_);
    is_writing_ = false;
  }
  if (life_.is_active()) {
    if (failed) std::rethrow_exception(failed);
    return;
  }
  Failures failures;
  remove_alias(Deadline::after(kCallDeadline), failures);
  for (const auto& failure : failures) log::warn("lease {}: {}", id, failure);
  throw Error(Errc::failure, fmt::format("lease {} ended during its setup: {}", id, reason()));
}

void HelperLease::take_in(const engine::Container& container, Deadline deadline) {
  if (!record_ || !life_.is_active()) return;
  auto record = *record_;
  if (std::ranges::find(record.alias_in, container.id) == record.alias_in.end())
    record.alias_in.push_back(container.id);
  const auto containers = record.alias_in;
  write_alias(containers, false, std::move(record), deadline);
}

void HelperLease::let_go(const engine::Container& container, Deadline deadline) {
  if (!record_ || !life_.is_active()) return;
  if (std::ranges::find(record_->alias_in, container.id) == record_->alias_in.end()) return;
  change_names([&] {
    engine::Client client(engine::Address::recorded(settings_.engine, "the lease"));
    remove_container_alias(client, container.id, id, alias_deadline(deadline), Ip::parse(record_->address));
    std::erase(record_->alias_in, container.id);
    settings_.store->save(*record_, deadline);
  });
}

void HelperLease::put_alias(Ipv4 address, bool required, Deadline deadline) {
  settings_.store->save(*record_, deadline);
  engine::Client client(engine::Address::recorded(settings_.engine, "the lease"));
  const auto limit = alias_deadline(deadline);
  const auto beside = names_beside(ports);
  for (const auto& container : record_->alias_in) {
    try {
      write_container_alias(client, container, address, id, limit, beside, written_);
    } catch (const Error& error) {
      if (!required) {
        log::warn("{}", error.what());
        continue;
      }
      throw Error(
          error.code(), error.what(),
          fmt::format("start it with --add-host {}:host-gateway, and expose with --no-alias", kAlias));
    }
  }
  written_ = true;
}

void HelperLease::remove_alias(Deadline deadline, Failures& failures) {
  if (!record_) return;
  const auto before = failures.size();
  failures.run([&] {
    engine::Client client(engine::Address::recorded(settings_.engine, "the lease"));
    remove_container_aliases(client, record_->alias_in, id, deadline, failures);
  });
  if (failures.size() == before) settings_.store->remove(id);
}

void HelperLease::release() {
  settings_.watch->remove(granted_.lease);
  if (!life_.begin_end(ExposureState::released, "released")) return life_.wait_over();
  const LeaseLife::Ending ending(life_);
  const auto deadline = Deadline::after(settings_.release_deadline);
  Failures failures;
  // Remove the forwards first: a container can delay an edit of its hosts file.
  try {
    dbus::Client().release(granted_.lease, false, deadline);
  } catch (const Error& error) {
    // No failure: the lease has ended already, or the helper is gone and finds the descriptor closed when it
    // restarts.
    if (error.code() != Errc::not_found && error.code() != Errc::no_path) failures.add(error.what());
  }
  granted_.keepalive.reset();
  remove_alias(deadline, failures);
  failures.raise("release");
}

void HelperLease::end(ExposureState state, const std::string& reason) {
  if (!life_.begin_end(state, reason)) return;
  log::warn("lease {} {}: {}", id, to_string(state), reason);
  granted_.keepalive.reset();
  {
    const LeaseLife::Ending ending(life_);
    bool is_written = false;
    {
      const std::scoped_lock lock(mutex_);
      is_written = !is_writing_;
    }
    Failures failures;
    if (is_written) remove_alias(Deadline::after(kCallDeadline), failures);
    for (const auto& failure : failures) log::warn("lease {}: {}", id, failure);
  }
  settings_.notifier->tell(id, state, reason);
}

void HelperLease::ask_unpinned(Deadline deadline) {
  try {
    unpinned_ = dbus::Client().unpinned(granted_.lease, deadline);
  } catch (const Error& error) {
    unpinned_ = fmt::format("the helper does not report whether the lease is pinned: {}", error.what());
  }
  warn_if_unpinned(id, unpinned_);
}

}  // namespace hostnet::exposer
