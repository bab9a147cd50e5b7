// A process killed before any step of a set-up or a tear-down: no bridge is ever open without its guard, and
// one check by another process restores everything.
#include "hostnet/error.hpp"
#include "support/forked.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>

using namespace hostnet;
using namespace test;

namespace {

constexpr int kKilled = 128 + SIGKILL;

exposer::Executor::Hook die_before(int step) {
  return [step](const auto&) mutable {
    if (step-- == 0) ::kill(::getpid(), SIGKILL);
  };
}

void expose_and_exit(const Testbed& bed, std::span<const ExposeRequest> requests, int die_at) {
  exposer::LeaseStore store(bed.runtime_dir());
  store.executor().set_hook(die_before(die_at));
  auto transaction = store.begin(soon());
  transaction.reap();
  const auto ready = make_ready(store, requests);
  transaction.add(ready.prepared.leases, ready.prepared.bridges);
  ::_exit(0);  // without a release
}

// The first action of any later command.
void reap(const Testbed& bed, int die_at = -1) {
  exposer::LeaseStore store(bed.runtime_dir());
  if (die_at >= 0) store.executor().set_hook(die_before(die_at));
  auto transaction = store.begin(soon());
  transaction.reap();
  transaction.tidy();
}

void check_every_step(Testbed& bed, std::span<const ExposeRequest> requests, int at_least) {
  int step = 0;
  for (int status = kKilled; status == kKilled; ++step) {
    CAPTURE(step);
    status = await_child(start_child([&] { expose_and_exit(bed, requests, step); }));
    REQUIRE((status == kKilled || status == 0));
    CHECK(bed.unguarded() == "");
    reap(bed);
    CHECK(bed.changes() == "");
  }
  CHECK(step - 1 >= at_least);

  step = 0;
  for (int status = kKilled; status == kKilled; ++step) {
    CAPTURE(step);
    REQUIRE(await_child(start_child([&] { expose_and_exit(bed, requests, -1); })) == 0);
    CHECK(bed.unguarded() == "");
    CHECK(bed.changes() != "");
    status = await_child(start_child([&] { reap(bed, step); }));
    REQUIRE((status == kKilled || status == 0));
    CHECK(bed.unguarded() == "");
    if (status == 0) CHECK(bed.changes() == "");
    reap(bed);
    CHECK(bed.changes() == "");
  }
  CHECK(step - 1 >= at_least);
}

ExposeRequest on(const char* bridge, std::vector<HostPort> ports) {
  return {.target = Target::bridge(bridge), .ports = std::move(ports)};
}

}  // namespace

TEST_CASE("killed before any step, one bridge") {
  Testbed bed;
  const std::vector<ExposeRequest> requests{on("br0", {HostPort::same(8088)})};
  check_every_step(bed, requests, 5);
}

TEST_CASE("killed before any step, two bridges and several leases") {
  Testbed bed;
  const std::vector<ExposeRequest> requests{on("br0", {HostPort::same(8088)}),
                                            bed.for_container({{5432, 80}}),
                                            on("br1", {HostPort::same(8088), {5353, 53, Protocol::udp}})};
  check_every_step(bed, requests, 6);
}

TEST_CASE("killed before any step, under a firewall in iptables-nft") {
  Testbed bed;
  exec("iptables-nft -A INPUT -i lo -j ACCEPT; iptables-nft -P INPUT DROP");
  bed.remember();
  const std::vector<ExposeRequest> requests{on("br0", {HostPort::same(8088)})};
  check_every_step(bed, requests, 5);
}

TEST_CASE("killed before any step while another lease stands: that one is left as it is") {
  Testbed bed;
  {
    const UnwatchedLeases standing(bed.runtime_dir(), on("br0", {{7000, 70}}));
    bed.remember();
    const std::vector<ExposeRequest> requests{on("br0", {HostPort::same(8088)}),
                                              on("br1", {HostPort::same(8088)})};
    check_every_step(bed, requests, 6);
  }
  CHECK(bed.unguarded() == "");
  CHECK_FALSE(route_localnet("br0"));
}

TEST_CASE("killed before any step with route_localnet on before: it stays on") {
  Testbed bed;
  exec("sysctl -qw net.ipv4.conf.br1.route_localnet=1");
  bed.remember();
  const std::vector<ExposeRequest> requests{on("br1", {HostPort::same(8088)})};
  for (int step = 0, status = kKilled; status == kKilled; ++step) {
    status = await_child(start_child([&] { expose_and_exit(bed, requests, step); }));
    reap(bed);
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a step that fails half-way takes back what was done, and says why") {
  Testbed bed;
  for (int fail_at = 0; fail_at < 5; ++fail_at) {
    CAPTURE(fail_at);
    exposer::LeaseStore store(bed.runtime_dir());
    int step = 0;
    store.executor().set_hook([&](const auto&) {
      if (step++ == fail_at) throw Error(Errc::failure, "a disk is full");
    });
    auto transaction = store.begin(soon());
    transaction.reap();
    const auto request = on("br0", {HostPort::same(8088)});
    {
      const auto ready = make_ready(store, std::span(&request, 1));
      CHECK_THROWS_WITH(transaction.add(ready.prepared.leases, ready.prepared.bridges),
                        doctest::Contains("a disk is full"));
    }
    CHECK(transaction.held().leases.empty());
    transaction.tidy();
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a tear-down whose sysctl step fails keeps the guard, and the next try finishes") {
  Testbed bed;
  exposer::LeaseStore store(bed.runtime_dir());
  const auto request = on("br0", {HostPort::same(8088)});
  auto transaction = store.begin(soon());
  transaction.reap();
  bool failed = false;  // the hook outlives the block below
  {
    const auto ready = make_ready(store, std::span(&request, 1));
    transaction.add(ready.prepared.leases, ready.prepared.bridges);
    store.executor().set_hook([&](const exposer::Step& step) {
      if (!failed && std::holds_alternative<exposer::SetRouteLocalnet>(step)) {
        failed = true;
        throw Error(Errc::failure, "the kernel says no");
      }
    });
    CHECK_THROWS_WITH(transaction.remove({ready.prepared.leases.front().id}),
                      doctest::Contains("the kernel says no"));
    CHECK(route_localnet("br0"));
    CHECK(bed.unguarded() == "");
  }
  transaction.reap();
  transaction.tidy();
  CHECK(bed.changes() == "");
}
