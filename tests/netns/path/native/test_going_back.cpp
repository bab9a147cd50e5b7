// A failed change restores the state before it, whatever was thrown: an Error, bad_alloc or an unknown type.
#include "hostnet/error.hpp"
#include "path/native/transition.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <new>
#include <string>
#include <utility>

using namespace hostnet;
using namespace test;

namespace {

// Throws once, before one step of the next change.
template <class Thrown>
exposer::Executor::Hook throw_before(int step, const Thrown& thrown) {
  return [step, thrown](const auto&) mutable {
    if (step-- == 0) throw thrown;
  };
}

ExposeRequest request_on(const char* bridge, std::uint16_t port) {
  return {.target = Target::bridge(bridge), .ports = {HostPort::same(port)}};
}

template <class Thrown>
void check_add(const Thrown& thrown) {
  Testbed bed;
  const UnwatchedLeases standing(bed.runtime_dir(), request_on("br0", 8000));
  bed.remember();
  int step = 0;
  for (bool failed = true; failed; ++step) {
    CAPTURE(step);
    exposer::LeaseStore store(bed.runtime_dir());
    auto transaction = store.begin(soon());
    transaction.reap();
    const auto request = request_on("br1", 8088);
    const auto ready = make_ready(store, std::span(&request, 1));
    store.executor().set_hook(throw_before(step, thrown));
    failed = false;
    try {
      transaction.add(ready.prepared.leases, ready.prepared.bridges);
    } catch (...) {
      failed = true;
    }
    CHECK(transaction.held().leases.size() == (failed ? 1 : 2));
    CHECK(bed.unguarded() == "");
    store.executor().set_hook({});
    if (!failed) transaction.remove({ready.prepared.leases.front().id});
    CHECK(store.peek() == transaction.held());
  }
  CHECK(bed.changes() == "");
  CHECK(step > 5);
}

template <class Thrown>
void check_amend(const Thrown& thrown) {
  Testbed bed;
  exposer::LeaseStore store(bed.runtime_dir());
  {
    const auto request = request_on("br0", 8088);
    const auto ready = make_ready(store, std::span(&request, 1));
    auto transaction = store.begin(soon());
    transaction.add(ready.prepared.leases, ready.prepared.bridges);
    const auto before = transaction.held();
    bed.remember();
    auto narrowed = before.leases.front();
    narrowed.sources = {Ipv4::parse("198.18.0.2").value()};
    narrowed.ports = {{8089, 89}};
    bool failed = true;
    for (int step = 0; failed; ++step) {
      CAPTURE(step);
      store.executor().set_hook(throw_before(step, thrown));
      failed = false;
      try {
        transaction.amend(narrowed);
      } catch (...) {
        failed = true;
      }
      CHECK(bed.changes().empty() == failed);
      CHECK((transaction.held() == before) == failed);
      CHECK(store.peek() == transaction.held());
      CHECK(route_localnet("br0"));
      CHECK(bed.unguarded() == "");
    }
    store.executor().set_hook({});
    transaction.remove({narrowed.id});
    transaction.tidy();
  }
  CHECK_FALSE(Testbed::has_ours());
  CHECK_FALSE(route_localnet("br0"));
}

}  // namespace

TEST_CASE("a lease that cannot be added leaves nothing, whatever is thrown") {
  check_add(Error(Errc::failure, "a disk is full"));
  check_add(std::bad_alloc());
  check_add(0);
}

TEST_CASE("a lease that cannot be amended is as it was, whatever is thrown") {
  check_amend(Error(Errc::failure, "this step"));
  check_amend(std::bad_alloc());
  check_amend(0);
}
