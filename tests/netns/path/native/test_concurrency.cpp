// Many processes at once, each exposing and releasing, some of them killed: no bridge is ever open without
// its guard, no process loses its leases, and nothing remains at the end.
#include "core/random.hpp"
#include "firewall/backend.hpp"
#include "firewall/xtables_lock.hpp"
#include "netlink/link.hpp"
#include "netlink/nft_tables.hpp"
#include "support/forked.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

using Clock = std::chrono::steady_clock;

// A few leases on either bridge for some milliseconds each. Few ports, so that leases often share them.
void expose_and_release(const Testbed& bed, unsigned seed) {
  std::mt19937 random(seed);
  const auto exposer = bed.exposer();
  for (int round = 0; round < 4; ++round) {
    std::vector<ExposeRequest> requests;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      const auto port = static_cast<std::uint16_t>(7000 + random() % 8);
      requests.push_back(
          {.target = Target::bridge(random() % 2 == 0 ? "br0" : "br1"), .ports = {HostPort::same(port)}});
    }
    // Idle for a while, so that a bridge sometimes loses its last lease.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    auto exposures = exposer->expose_all(requests);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
    for (auto& exposure : exposures) exposure.release();
  }
}

// Runs one child at a time with that, and kills some.
void supervise(const Testbed& bed, unsigned seed, Clock::time_point until) {
  std::mt19937 random(seed);
  while (Clock::now() < until) {
    const auto child = start_child(
        [&, child_seed = random()] { expose_and_release(bed, static_cast<unsigned>(child_seed)); });
    if (random() % 3 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
      ::kill(child, SIGKILL);
    }
    const int status = await_child(child);
    if (status != 0 && status != 128 + SIGKILL)
      throw std::runtime_error(fmt::format("a worker gave {}", status));
  }
}

struct Watched {
  int looks = 0;
  int open = 0;       // checks that found a bridge open
  int unguarded = 0;  // checks that also found no guard
};

Watched look(netlink::Rtnl& rtnl) {
  Watched watched{.looks = 1};
  const auto guarded = firewall::guarded_bridges();
  for (const auto* const name : {"br0", "br1"}) {
    if (!rtnl.link(name).value().route_localnet) continue;
    ++watched.open;
    if (std::ranges::find(guarded, name) == guarded.end()) ++watched.unguarded;
  }
  return watched;
}

// With the xtables lock held, or in one generation of nf_tables, no guard comes or goes, so a bridge without
// one must stay closed.
Watched watch(const std::atomic<bool>& done) {
  Watched watched;
  netlink::Rtnl rtnl;
  netlink::NftTables nft;
  while (!done) {
    std::optional<firewall::XtablesLock> lock;
    if (!on_nftables()) lock.emplace(soon());
    const auto generation = nft.generation();
    const auto seen = look(rtnl);
    if (!on_nftables() || nft.generation() == generation) {
      watched.looks += seen.looks;
      watched.open += seen.open;
      watched.unguarded += seen.unguarded;
    }
    lock.reset();
    std::this_thread::sleep_for(2ms);
  }
  return watched;
}

}  // namespace

TEST_CASE("eight processes on two bridges, some killed: always guarded, and nothing left in the end") {
  Testbed bed;
  const auto seed = static_cast<unsigned>(std::stoul(random_hex(8), nullptr, 16));
  CAPTURE(seed);
  const auto until = Clock::now() + 5s;
  std::vector<pid_t> supervisors;
  for (unsigned i = 0; i < 8; ++i)
    supervisors.push_back(start_child([&] { supervise(bed, seed + i, until); }));

  std::atomic<bool> done = false;
  Watched watched;
  std::thread watcher([&] { watched = watch(done); });
  std::vector<int> statuses;
  for (const auto supervisor : supervisors) statuses.push_back(await_child(supervisor));
  done = true;
  watcher.join();

  CHECK(statuses == std::vector<int>(8, 0));
  CHECK(watched.unguarded == 0);
  CHECK(watched.open > 20);  // else the check proves nothing
  MESSAGE(fmt::format("looked {} times, a bridge was open at {}", watched.looks, watched.open));
  CHECK(bed.unguarded() == "");
  {
    exposer::LeaseStore store(bed.runtime_dir());
    auto transaction = store.begin(soon());
    transaction.reap();
    CHECK(transaction.held().leases.empty());
    transaction.tidy();
  }
  CHECK(bed.changes() == "");
}
