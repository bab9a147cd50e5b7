// What the thread of Holder does: puts right what others have undone, and ends what is over.
//
//   check() meets                            then                                             bound
//   nothing                                  all stands as it should                          5 s
//   another process with the journal's lock  nothing is known to be amiss; the next look      5 s
//   rules or a setting that are changed      they are put back; the bridges are closed        5 s
//                                            meanwhile where that takes more than 1 s
//   a lease that cannot be taken away        its bridge is closed, unfinished_; each look     1 s a look,
//                                            tries again, and the other leases stay           60 s in all
//   any other error                          fail_closed(): the setting is off, the           5 s for the lock,
//                                            leases end as `failed`, their rules go           1 s for the rules
//   the lock is busy there, too              the leases stay active; the next look            5 s
//
// Every function here takes work_ or has it, then mutex_ for moments, then the journal's lock. What is to be
// told is queued, for deliver_notices().
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/native/holder.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <utility>

namespace hostnet::exposer {
namespace {

constexpr std::chrono::seconds kRepairDeadline{5};
constexpr std::chrono::seconds kCloseDeadline{1};  // what cannot be taken away then is taken away later
constexpr std::chrono::seconds kPatience{60};  // with what cannot be taken away, before all leases end of it
constexpr std::chrono::milliseconds kMoment{5};  // for descriptors that may be closed, see KeepaliveWatch

}  // namespace

// What could not be taken away may be so for long: whoever wants to work meanwhile should not wait for it.
std::optional<Transaction> Holder::begin_check() {
  try {
    return std::optional<Transaction>(std::in_place, store_,
                                      Deadline::after(unfinished_ ? kCloseDeadline : kRepairDeadline));
  } catch (const Error& error) {
    if (error.code() != Errc::timed_out) throw;
    // Closing takes the lock, too, and nothing is known to be amiss.
    say(LogLevel::warning, fmt::format("{}; the leases are looked at again", error.what()));
    want_check();
    return std::nullopt;
  }
}

void Holder::check() {
  auto transaction = begin_check();
  if (!transaction) return;
  try {
    end_what_is_over(*transaction);
  } catch (const Error& error) {
    return postpone(transaction->held(), error);
  }
  unfinished_ = false;
  unfinished_since_.reset();
  if (transaction->repair())
    say(LogLevel::warning, "the rules or settings of a lease had been changed; they are put back");
  drop_owner_if_idle(*transaction);
}

void Holder::end_what_is_over(Transaction& transaction) {
  const auto mine = active();
  for (auto& ended : transaction.reap())
    if (mine.contains(ended.lease)) end(std::move(ended));
  const auto stopped = of_stopped_containers(transaction.held(), mine);
  transaction.remove(stopped);
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
    auto transaction = store_.begin(Deadline::after(kRepairDeadline));
    const auto left = end_revoked(transaction.held());  // the lock may have been busy with their release
    store_.close(transaction.held());
    transaction.limit(kCloseDeadline);
    try {
      transaction.remove(left);
    } catch (const Error& error) {
      unfinished_ = true;  // the journal says that they are being released, so each look tries to finish it
      say(LogLevel::error, fmt::format("closing: {}", error.what()));
    }
    for (const auto& lease : left) end({lease, Cause::not_kept, reason});
    drop_owner_if_idle(transaction);
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
  drop_owner_if_idle(store_.begin(Deadline::after(kRepairDeadline)));
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
  auto transaction = store_.begin(Deadline::after(kRepairDeadline));
  transaction.remove(leases);
  for (const auto& lease : leases) end({lease, cause, reason});
  drop_owner_if_idle(transaction);
}

}  // namespace hostnet::exposer
