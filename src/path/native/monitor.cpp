// The thread of Holder: what it hears of, and when it looks. What it then does is in upkeep.cpp.
//
//   event                                        from                     then                       after
//   an interface goes or changes its name        RTNLGRP_LINK             check_or_fail_closed()     0
//   nf_tables has changed                        NFNLGRP_NFTABLES         check_or_fail_closed()     50 ms
//   a legacy table has another size              a look every 250 ms      check_or_fail_closed()     50 ms
//   route_localnet is off                        the same look            check_or_fail_closed()     50 ms
//   something else may have changed              a clock                  check_or_fail_closed()     5 s
//   another process has written the journal      inotify                  notice_foreign_release()   0
//   a descriptor may have been closed            KeepaliveWatch           release_closed()           5 ms
//   a lease's time is up                         the look every 250 ms    release_expired()          0
//   leases have ended by themselves              any of these             deliver_notices()          0
//
// The loop ends with the Holder. What an event throws is logged, and the loop goes on after 250 ms.
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
