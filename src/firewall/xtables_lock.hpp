// The lock that every iptables command takes, so that its changes and ours do not overwrite each other.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"

#include <optional>
#include <utility>

namespace hostnet::firewall {

/// Holds flock(2) on /run/xtables.lock (or $XTABLES_LOCKFILE), as iptables(8) --wait does. libiptc does not
/// take it: of two commits that start from the same table, one would silently be lost.
class XtablesLock {
 public:
  /// Waits until the lock is free. @throws Error: timed_out, not_authorised, failure.
  explicit XtablesLock(Deadline deadline);
  /// nullopt when another process holds the lock. @throws Error: not_authorised, failure.
  static std::optional<XtablesLock> if_free();

 private:
  explicit XtablesLock(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace hostnet::firewall
