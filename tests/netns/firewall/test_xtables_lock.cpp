// The xtables lock in somebody else's hands, and somebody who changes the tables without it.
#include "exposer/unwatched_lease.hpp"
#include "firewall/xtables_lock.hpp"
#include "hostnet/log.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <string_view>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

// Counts the lines of the log with these words in them, while it lives.
class Told {
 public:
  explicit Told(std::string_view words) {
    set_log_sink([this, words](LogLevel, std::string_view line) {
      if (line.find(words) != std::string_view::npos) ++times_;
    });
  }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
  ~Told() { set_log_sink({}); }
  [[nodiscard]] int times() const { return times_; }

 private:
  std::atomic<int> times_{0};
};

// By somebody who takes a lock of his own.
std::string without_the_lock(const Testbed& bed) {
  return fmt::format("XTABLES_LOCKFILE={}.lock ", bed.runtime_dir());
}

}  // namespace

TEST_CASE("a lease that stands as it should is not touched, however long somebody holds the lock") {
  Testbed bed(Testbed::OwnRules::none);
  SUBCASE("with our rules in ip_tables alone") {}
  SUBCASE("with some in iptables-nft, too") { exec("iptables-nft -P INPUT DROP"); }
  const Service web(loopback(8088), "web");
  const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({HostPort::same(8088)}));
  exposer::Ledger ledger(bed.runtime_dir());
  const auto journal = ledger.lock(soon());
  const auto held = ledger.load(journal);
  const Told told("route_localnet is off");
  {
    const firewall::XtablesLock lock(soon());
    CHECK_FALSE(ledger.repair(held, Deadline::after(3s)));
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  }
  CHECK(told.times() == 0);
}

TEST_CASE("a guard that cannot be put back at once closes the bridge until it can") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  {
    const firewall::XtablesLock lock(soon());
    exec(without_the_lock(bed) + "iptables-legacy -t raw -F TCHN-RAW");
    CHECK(eventually([] { return !route_localnet("br0"); }, 4s));
  }
  CHECK(eventually([&] { return dial(bed.container, {bed.gateway, 8088}) == "web"; }, 4s));
  CHECK(bed.unguarded() == "");
  CHECK(exposure.state() == ExposureState::active);
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("the end of one lease does not open a bridge whose guard cannot be put up for the other") {
  Testbed bed(Testbed::OwnRules::none);
  {
    exposer::Ledger ledger(bed.runtime_dir());
    const UnwatchedLeases other(bed.runtime_dir(), Testbed::on_br0({HostPort::same(8088)}));
    const std::vector<ExposeRequest> requests{Testbed::on_br0({HostPort::same(8089)})};
    const auto journal = ledger.lock(soon());
    state::Holdings held;
    ledger.reap(journal, held, soon());
    const auto ready = make_ready(ledger, requests);
    ledger.add(journal, held, ready.prepared.leases, ready.prepared.bridges, soon());
    const std::set<std::string> ours{ready.prepared.leases.front().id};
    ledger.close(held);
    exec("iptables-legacy -t raw -F TCHN-RAW");
    {
      const firewall::XtablesLock lock(soon());
      CHECK(error_of([&] { ledger.remove(journal, held, ours, Deadline::after(0ms)); }).code() ==
            Errc::failure);
      CHECK_FALSE(route_localnet("br0"));
    }
    ledger.remove(journal, held, ours, soon());
    CHECK(route_localnet("br0"));
    CHECK(bed.unguarded() == "");
  }
  CHECK(bed.changes() == "");
}
