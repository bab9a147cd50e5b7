// The monitor thread's work: it repairs what others have changed and ends leases that are over.
//
//   check() meets                      then                                             bound
//   no change                          nothing                                          5 s, kRepairDeadline
//   a busy journal lock                no known fault: the next check tries again       5 s
//   changed rules or settings          restored; if that takes more than 1 s, the       5 s
//                                      bridges are closed meanwhile
//   a lease that it cannot remove      its bridge closes, unfinished_; each check       1 s (kCloseDeadline)
//                                      retries; the other leases stay                   a check, 60 s
//                                                                                       (kPatience) in all
//   any other error                    fail_closed(): route_localnet off, the leases    5 s for the lock,
//                                      end as `failed`, their rules go                  1 s for the rules
//   a busy lock in fail_closed()       the leases stay active; the next check retries   5 s
//
// Every function here takes work_ or requires it, then the journal's lock, then mutex_ for moments. Messages
// are queued for deliver_notices().
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
constexpr std::chrono::seconds kCloseDeadline{1};  // what it cannot remove, a later check removes
constexpr std::chrono::seconds kPatience{60};      // for leases that it cannot remove; then all leases end
constexpr std::chrono::milliseconds kMoment{
    5};  // before the lock of a closed descriptor is tested, see KeepaliveWatch

}  // namespace

// An unfinished removal can last long, so other callers must not wait for it: 1 s at most.
std::optional<Transaction> Holder::begin_check() {
  try {
    return std::optional<Transaction>(std::in_place, store_,
                                      Deadline::after(unfinished_ ? kCloseDeadline : kRepairDeadline));
  } catch (const Error& error) {
    if (error.code() != Errc::timed_out) throw;
    // fail_closed() needs the lock too, and there is no known fault.
    say(LogLevel::warning, fmt::format("{}; the leases are checked again", error.what()));
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
    say(LogLevel::warning, "the rules or settings of a lease were changed; they are restored");
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

// One lease that cannot be removed now (a busy xtables lock, for example) does not end the others. Its bridge
// closes until the removal succeeds; other leases on that bridge work again after that. @throws the error if
// that does not help.
void Holder::postpone(const state::Snapshot& held, const Error& error) {
  auto over = held;
  over.leases.erase_if([](const state::Lease& lease) { return !lease.releasing; });
  over.drop_idle_bridges();
  if (over.leases.empty()) throw error;  // another cause
  const auto now = std::chrono::steady_clock::now();
  if (!unfinished_since_) {
    unfinished_since_ = now;
    say(LogLevel::error, fmt::format("{}; its bridge is closed, and the release is retried", error.what()));
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
  } catch (const Error& error) {
    fail_closed(fmt::format("cannot be repaired: {}", error.what()));
  }
  work.unlock();
  deliver_notices();
}

// With route_localnet off, a lease is over even if its rules remain.
void Holder::fail_closed(const std::string& reason) {
  if (!has_active()) return say(LogLevel::debug, fmt::format("{}; retrying later", reason));
  say(LogLevel::error, fmt::format("{}; closing", reason));
  try {
    auto transaction = store_.begin(Deadline::after(kRepairDeadline));
    const auto left = end_revoked(transaction.held());  // their release may have held the lock
    store_.close(transaction.held());
    transaction.set_limit(kCloseDeadline);
    try {
      transaction.remove(left);
    } catch (const Error& error) {
      unfinished_ = true;  // the journal has them as `releasing`, so each check retries
      say(LogLevel::error, fmt::format("closing: {}", error.what()));
    }
    for (const auto& lease : left) end({lease, Cause::not_kept, reason});
    drop_owner_if_idle(transaction);
  } catch (const Error& error) {
    // The leases stay active, so the next check retries.
    say(LogLevel::error, fmt::format("closing: {}", error.what()));
  }
}

// Ends our leases that the journal no longer has; returns the others.
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
  if (!store_.has_news()) return;  // our own write
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
