// What a lease loses by who listens on its ports.
#include "daemon/listener_watch.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

constexpr uid_t kAsked = 1000;
constexpr uid_t kAnother = 1001;

Tenure tenure(bool expose_own, std::optional<ListenerUids> then = {}) {
  Tenure tenure;
  tenure.lease.owner.uid = kAsked;
  tenure.lease.expose_own = expose_own;
  tenure.listeners = std::move(then);
  return tenure;
}

std::string lost(const Tenure& tenure, const ListenerUids& now) {
  const auto* const reason = lost_listener(tenure, now);
  return reason == nullptr ? "" : reason;
}

}  // namespace

TEST_CASE("what was granted as one's own ends when another user listens on any of its ports") {
  CHECK(lost(tenure(true), {{kAnother}}) == "listener-changed");
  CHECK(lost(tenure(true), {{kAsked}, {kAnother}}) == "listener-changed");
  CHECK(lost(tenure(true), {{kAsked, kAnother}}) ==
        "listener-changed");  // beside one's own: the kernel chooses
  CHECK(lost(tenure(true), {{kAsked, 0}}) == "listener-changed");
  CHECK(lost(tenure(true), {{kAsked}, {kAsked, kAsked}}).empty());
  // The service may come back.
  CHECK(lost(tenure(true), {{}}).empty());
}

TEST_CASE("what an administrator or root has allowed stays") {
  CHECK(lost(tenure(false), {{kAnother}}).empty());
  CHECK(lost(tenure(false), {{0}}).empty());
}

TEST_CASE("a lease that is bound to its service ends with it, whatever has granted it") {
  CHECK(lost(tenure(false, ListenerUids{{kAnother}}), {{}}) == "listener-gone");
  CHECK(lost(tenure(false, ListenerUids{{kAnother}}), {{kAnother}}).empty());
  CHECK(lost(tenure(true, ListenerUids{{kAsked}}), {{}}) == "listener-gone");
  CHECK(lost(tenure(true, ListenerUids{{kAsked}}), {{kAnother}}) == "listener-changed");
}
