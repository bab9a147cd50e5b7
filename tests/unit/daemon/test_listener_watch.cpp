// Leases that end because of the listeners on their ports.
#include "daemon/listener_watch.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

constexpr uid_t kAsked = 1000;
constexpr uid_t kAnother = 1001;

HeldLease held_lease(bool expose_own, std::optional<ListenerUids> then = {}) {
  HeldLease held_lease;
  held_lease.lease.owner.uid = kAsked;
  held_lease.lease.expose_own = expose_own;
  held_lease.listeners = std::move(then);
  return held_lease;
}

std::string lost(const HeldLease& held_lease, const ListenerUids& now) {
  const auto* const reason = lost_listener(held_lease, now);
  return reason == nullptr ? "" : reason;
}

}  // namespace

TEST_CASE("a lease granted by expose-own ends when another user listens on any of its ports") {
  CHECK(lost(held_lease(true), {{kAnother}}) == "listener-changed");
  CHECK(lost(held_lease(true), {{kAsked}, {kAnother}}) == "listener-changed");
  CHECK(lost(held_lease(true), {{kAsked, kAnother}}) ==
        "listener-changed");  // beside the caller's own: the kernel chooses
  CHECK(lost(held_lease(true), {{kAsked, 0}}) == "listener-changed");
  CHECK(lost(held_lease(true), {{kAsked}, {kAsked, kAsked}}).empty());
  // The service may come back.
  CHECK(lost(held_lease(true), {{}}).empty());
}

TEST_CASE("a lease granted by an administrator or root stays") {
  CHECK(lost(held_lease(false), {{kAnother}}).empty());
  CHECK(lost(held_lease(false), {{0}}).empty());
}

TEST_CASE("a lease bound to its service ends with it, under any grant") {
  CHECK(lost(held_lease(false, ListenerUids{{kAnother}}), {{}}) == "listener-gone");
  CHECK(lost(held_lease(false, ListenerUids{{kAnother}}), {{kAnother}}).empty());
  CHECK(lost(held_lease(true, ListenerUids{{kAsked}}), {{}}) == "listener-gone");
  CHECK(lost(held_lease(true, ListenerUids{{kAsked}}), {{kAnother}}) == "listener-changed");
}
