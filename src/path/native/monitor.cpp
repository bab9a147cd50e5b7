// The thread of Holder: notices what others do to what we hold, and puts it right or closes it.
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"
#include "hostnet/error.hpp"
#include "path/native/holder.hpp"
#include "path/native/names.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <utility>

namespace hostnet::exposer {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookPeriod = 250ms;  // the cheap comparison of the legacy tables' sizes, and the sysctl
constexpr auto kCheckPeriod = 5s;    // the full one, for changes that leave the sizes as they were
constexpr auto kSettle = 50ms;       // others' changes come in bursts
constexpr auto kMoment = 5ms;        // for descriptors that may be closed, see KeepaliveWatch
constexpr auto kRepairDeadline = 5s;
constexpr auto kCloseDeadline = 1s;  // what cannot be taken away then is taken away later
constexpr auto kPatience = 60s;      // with what cannot be taken away, before all leases end of it

void drain(int fd) {
  std::array<char, 4096> buffer;
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

// A lease for one container ends with it, for its address may be given to another. Only the leases of this
// process: what is not to be seen from here may run in another pid namespace.
std::set<std::string> of_stopped_containers(const state::Snapshot& held, const std::set<std::string>& mine) {
  std::set<std::string> stopped;
  for (const auto& lease : held.leases) {
    if (!mine.contains(lease.id) || !lease.served) continue;
    if (process_start_time(lease.served->pid) != lease.served->start) stopped.insert(lease.id);
  }
  return stopped;
}

}  // namespace

struct Holder::Monitors {
  Monitors() : journal(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (!journal) throw Error::from_errno("inotify_init1", errno);
    try {
      nft.emplace();
    } catch (const Error& error) {
      log::debug("nf_tables is not watched: {}", error.what());
    }
  }

  netlink::LinkMonitor links;
  std::optional<netlink::NftMonitor> nft;
  firewall::TableWatch tables;
  netlink::Rtnl rtnl;
  Fd journal;
  std::uint64_t last_look = 0;
  bool check_is_due = false;
  std::atomic<bool> check_is_wanted = false;  // by another thread
};

// Everything is subscribed to in the caller's thread, before hold() returns: nothing that happens after is
// missed.
void Holder::start_watching() {
  if (!monitors_) subscribe();
  if (!keepalives_) {
    keepalives_.emplace();
    loop_.add(keepalives_->fd(), EPOLLIN, [this](std::uint32_t) {
      const std::scoped_lock work(work_);
      if (keepalives_->read()) release_closed_soon();
    });
  }
  keepalives_->watch(store_.folder());
  // Each time, for the folder is another one after all had been released and it was tidied away.
  const auto folder = state::PrivateFolder::make(store_.folder());
  if (::inotify_add_watch(monitors_->journal.get(), folder.by_descriptor().c_str(),
                          IN_MOVED_TO | IN_MODIFY | IN_DELETE) < 0)
    throw Error::from_errno(fmt::format("watch {}", store_.folder().string()), errno);
  if (thread_.joinable()) return;
  thread_ = start_thread("tchn-monitor", [this] { watch(); });
}

void Holder::subscribe() {
  monitors_ = std::make_shared<Monitors>();
  auto& monitors = *monitors_;
  monitors.last_look = monitors.tables.look();

  const auto check_soon = [this, &monitors] {
    if (monitors.check_is_due) return;
    monitors.check_is_due = true;
    loop_.after(kSettle, [this, &monitors] {
      monitors.check_is_due = false;
      check_or_fail_closed();
      monitors.last_look = monitors.tables.look();
    });
  };
  loop_.add(monitors.links.fd(), EPOLLIN, [this, &monitors](std::uint32_t) {
    // A bridge that came back under another name is unguarded until its rules have followed: no pause here.
    if (!monitors.links.read().empty()) check_or_fail_closed();
  });
  if (monitors.nft)
    loop_.add(monitors.nft->fd(), EPOLLIN, [&monitors, check_soon](std::uint32_t) {
      if (monitors.nft->read()) check_soon();
    });
  loop_.add(monitors.journal.get(), EPOLLIN, [this, &monitors](std::uint32_t) {
    drain(monitors.journal.get());
    notice_foreign_release();
    deliver_notices();
  });
  loop_.every(kLookPeriod, [this, &monitors, check_soon] {
    release_expired();
    deliver_notices();
    if (monitors.check_is_wanted.exchange(false) || monitors.tables.look() != monitors.last_look ||
        a_setting_is_lost(monitors.rtnl))
      check_soon();
  });
  loop_.every(kCheckPeriod, [this] { check_or_fail_closed(); });
}

// What has just been set up is not in the last look at the legacy tables: whoever takes it away before the
// next one leaves them as large as they were then.
void Holder::want_check() {
  if (monitors_) monitors_->check_is_wanted = true;
}

void Holder::watch() {
  for (;;) {
    try {
      loop_.run();
      return;
    } catch (const std::exception& error) {
      log::error("looking after the leases: {}", error.what());
      std::this_thread::sleep_for(kLookPeriod);
    }
  }
}

// The kernel tells nobody when a sysctl is written.
bool Holder::a_setting_is_lost(netlink::Rtnl& rtnl) const {
  if (unfinished_) return false;  // it may be off because of that, and the next full look is soon
  std::set<int> bridges;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, held] : held_)
      if (held.state == ExposureState::active) bridges.insert(held.ifindex);
  }
  return std::ranges::any_of(bridges, [&](int ifindex) {
    const auto link = rtnl.link(ifindex);
    return link && !link->route_localnet;
  });
}

void Holder::check() {
  // What could not be taken away may be so for long: whoever wants to work meanwhile should not wait for it.
  const auto deadline = Deadline::after(unfinished_ ? kCloseDeadline : kRepairDeadline);
  std::optional<state::Journal> lock;
  try {
    lock.emplace(store_.lock(deadline));
  } catch (const Error& error) {
    if (error.code() != Errc::timed_out) throw;
    // Closing takes the lock, too, and nothing is known to be amiss.
    say(LogLevel::warning, fmt::format("{}; the leases are looked at again", error.what()));
    want_check();
    return;
  }
  const auto& journal = *lock;
  state::Snapshot held;
  try {
    end_what_is_over(journal, held, deadline);
  } catch (const Error& error) {
    return postpone(held, error);
  }
  unfinished_ = false;
  unfinished_since_.reset();
  if (store_.repair(held, deadline))
    say(LogLevel::warning, "the rules or settings of a lease had been changed; they are put back");
  drop_owner_if_idle(journal, held);
}

void Holder::end_what_is_over(const state::Journal& journal, state::Snapshot& held, Deadline deadline) {
  const auto mine = active();
  for (auto& ended : store_.reap(journal, held, deadline))
    if (mine.contains(ended.lease)) end(std::move(ended));
  const auto stopped = of_stopped_containers(held, mine);
  store_.remove(journal, held, stopped, deadline);
  for (const auto& lease : stopped) end({lease, Cause::container_stopped, "its container has stopped"});
}

// That a lease cannot be taken away now, since somebody holds the xtables lock say, is no fault of the
// others. Its bridge is closed until it can; theirs comes back then. @throws the error where that does not
// help.
void Holder::postpone(const state::Snapshot& held, const Error& error) {
  auto over = held;
  over.leases.erase_if([](const state::Lease& lease) { return !lease.releasing; });
  over.drop_idle_bridges();
  if (over.leases.empty()) throw error;  // it was something else
  const auto now = std::chrono::steady_clock::now();
  if (!unfinished_since_) {
    unfinished_since_ = now;
    say(LogLevel::error, fmt::format("{}; its bridge is closed and it is tried again", error.what()));
  }
  if (now - *unfinished_since_ > kPatience) throw error;
  unfinished_ = true;
  store_.close(over);
}

void Holder::check_or_fail_closed() {
  std::unique_lock work(work_);
  if (!has_active() && !unfinished_) return;
  try {
    check();
  } catch (const Error& amiss) {
    fail_closed(fmt::format("could not be kept up: {}", amiss.what()));
  }
  work.unlock();
  deliver_notices();
}

// With the setting off, a lease is over, whether or not its rules can be taken away as well.
void Holder::fail_closed(const std::string& reason) {
  if (!has_active()) return say(LogLevel::debug, fmt::format("{}; tried again later", reason));
  say(LogLevel::error, fmt::format("{}; closing", reason));
  try {
    const auto journal = store_.lock(Deadline::after(kRepairDeadline));
    auto held = store_.load(journal);
    const auto left = end_revoked(held);  // the lock may have been busy with their release
    store_.close(held);
    try {
      store_.remove(journal, held, left, Deadline::after(kCloseDeadline));
    } catch (const Error& error) {
      unfinished_ = true;  // the journal says that they are being released, so each look tries to finish it
      say(LogLevel::error, fmt::format("closing: {}", error.what()));
    }
    for (const auto& lease : left) end({lease, Cause::not_kept, reason});
    drop_owner_if_idle(journal, held);
  } catch (const Error& error) {
    // They stay active here, so that the next look tries again.
    say(LogLevel::error, fmt::format("closing: {}", error.what()));
  }
}

// Ends those of ours that are held no more; returns the others.
std::set<std::string> Holder::end_revoked(const state::Snapshot& held) {
  std::set<std::string> there;
  for (const auto& lease : held.leases) there.insert(lease.id);
  auto mine = active();
  std::erase_if(mine, [&](const auto& lease) {
    if (there.contains(lease)) return false;
    end({lease, Cause::revoked, "released by another process"});
    return true;
  });
  return mine;
}

void Holder::notice_foreign_release() {
  const std::scoped_lock work(work_);
  if (!store_.has_news()) return;  // what we have written ourselves
  if (!has_active()) return;
  end_revoked(store_.peek());
  if (has_active()) return;
  const auto journal = store_.lock(Deadline::after(kRepairDeadline));
  drop_owner_if_idle(journal, store_.load(journal));
}

void Holder::release_expired() {
  std::set<std::string> due;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, held] : held_)
      if (held.state == ExposureState::active && held.expires && *held.expires <= std::time(nullptr))
        due.insert(id);
  }
  if (due.empty()) return;
  const std::scoped_lock work(work_);
  release(due, Cause::expired, "its time is up");
}

void Holder::release_closed_soon() {
  if (std::exchange(look_is_due_, true)) return;
  loop_.after(kMoment, [this] {
    release_closed();
    deliver_notices();
  });
}

void Holder::release_closed() {
  const std::scoped_lock work(work_);
  look_is_due_ = false;
  auto closed = keepalives_->look();
  if (keepalives_->has_suspects()) release_closed_soon();
  const auto mine = active();
  std::erase_if(closed, [&](const auto& lease) { return !mine.contains(lease); });
  if (!closed.empty()) release(closed, Cause::owner_gone, "its owner is gone");
}

void Holder::release(const std::set<std::string>& leases, Cause cause, const std::string& reason) {
  const auto deadline = Deadline::after(kRepairDeadline);
  const auto journal = store_.lock(deadline);
  auto held = store_.load(journal);
  store_.remove(journal, held, leases, deadline);
  for (const auto& lease : leases) end({lease, cause, reason});
  drop_owner_if_idle(journal, held);
}

// In this thread, with no lock held. What is not begun now is at the next look.
void Holder::finish_new_names_soon() {
  if (is_tidying_) return;
  if (tidier_.joinable()) tidier_.join();
  {
    const std::scoped_lock work(work_);
    if (!store_.has_new_names()) return;
  }
  is_tidying_ = true;
  try {
    tidier_ = start_thread("tchn-tidy", [this] {
      finish_names(store_, Deadline::after(engine::kAliasBudget), &work_);
      is_tidying_ = false;
    });
  } catch (const Error& error) {
    is_tidying_ = false;
    log::debug("{}; tried again", error.what());
  }
}

// The program's log sink may wait, for a terminal that is stopped say: nothing that others need is held
// meanwhile.
void Holder::say(LogLevel level, std::string line) {
  const std::scoped_lock lock(mutex_);
  sayings_.emplace_back(level, std::move(line));
}

void Holder::deliver_notices() {
  finish_new_names_soon();
  std::vector<Ended> notices;
  std::vector<std::pair<LogLevel, std::string>> sayings;
  {
    const std::scoped_lock lock(mutex_);
    notices.swap(notices_);
    sayings.swap(sayings_);
  }
  for (const auto& [level, line] : sayings) log::write(level, line);
  for (const auto& notice : notices) {
    const auto text = fmt::format("lease {} {}: {}", notice.lease, to_string(notice.state()), notice.reason);
    // A container that stops is how things end as a rule; the other causes somebody may want to know of.
    if (notice.cause == Cause::container_stopped)
      log::info("{}", text);
    else
      log::warn("{}", text);
    if (settings_.on_end) settings_.on_end(notice);
  }
}

}  // namespace hostnet::exposer
