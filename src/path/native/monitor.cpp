// The monitor thread of Holder: its events and when it checks. upkeep.cpp has the repairs.
//
//   event                                source                     action                     delay
//   an interface goes or is renamed      RTNLGRP_LINK               check_or_fail_closed()     none
//   nf_tables changed                    NFNLGRP_NFTABLES           check_or_fail_closed()     50 ms, kSettle
//   a legacy table's size changed        poll, 250 ms, kLookPeriod  check_or_fail_closed()     50 ms, kSettle
//   route_localnet is off                the same poll              check_or_fail_closed()     50 ms, kSettle
//   a change without an event            timer, 5 s, kCheckPeriod   check_or_fail_closed()     none
//   another process wrote the journal    inotify                    notice_foreign_release()   none
//   a descriptor may have been closed    KeepaliveWatch             release_closed()           5 ms, kMoment
//   a lease's timeout has passed         the poll                   release_expired()          none
//   leases ended by themselves           any of these               deliver_notices()          none
//
// The Holder's destructor ends the loop. An exception from a handler is logged; the loop continues after 250
// ms.
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

constexpr auto kLookPeriod = 250ms;  // cheap comparison of the legacy tables' sizes and the sysctl
constexpr auto kCheckPeriod = 5s;    // full check, for changes that keep the sizes
constexpr auto kSettle = 50ms;       // others' changes come in bursts

void drain(int fd) {
  std::array<char, 4096> buffer;
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

}  // namespace

struct Holder::Monitors {
  Monitors() : journal(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (!journal) throw Error::from_errno("inotify_init1", errno);
    try {
      nft.emplace();
    } catch (const Error& error) {
      log::debug("not watching nf_tables: {}", error.what());
    }
  }

  netlink::LinkMonitor links;
  std::optional<netlink::NftMonitor> nft;
  firewall::TableWatch tables;
  netlink::Rtnl rtnl;
  Fd journal;
  std::uint64_t last_look = 0;
  bool check_is_due = false;
  std::atomic<bool> check_is_wanted = false;  // set by another thread
};

// Subscribes in the caller's thread, before hold() returns, so that no later event is missed.
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
  // Watch it each time: after the last release the folder is tidied away, and a new one takes its place.
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
    // A renamed bridge has no guard until its rules follow, so check at once.
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

// The last poll of the legacy tables does not include the new rules. If another program removes them before
// the next poll, the sizes match again.
void Holder::want_check() {
  if (monitors_) monitors_->check_is_wanted = true;
}

void Holder::watch() {
  for (;;) {
    try {
      loop_.run();
      return;
    } catch (const std::exception& error) {
      log::error("monitoring the leases: {}", error.what());
      std::this_thread::sleep_for(kLookPeriod);
    }
  }
}

// The kernel sends no event for a sysctl write.
bool Holder::a_setting_is_lost(netlink::Rtnl& rtnl) const {
  if (unfinished_) return false;  // may be the cause; the next full check is soon
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

// Runs in the monitor thread without a lock. Names that it does not start on now wait for the next call.
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

// Queues the line: the program's log sink may block (a stopped terminal), so no lock may be held around it.
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
    // A stopped container is the usual end of a lease; the other causes deserve a warning.
    if (notice.cause == Cause::container_stopped)
      log::info("{}", text);
    else
      log::warn("{}", text);
    if (settings_.on_end) settings_.on_end(notice);
  }
}

}  // namespace hostnet::exposer
