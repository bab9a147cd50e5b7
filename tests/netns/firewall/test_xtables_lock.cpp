// Another process holds the xtables lock, or changes the tables without it.
#include "core/join.hpp"
#include "firewall/xtables_lock.hpp"
#include "path/native/unwatched_lease.hpp"
#include "support/expect_error.hpp"
#include "support/log_count.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"
#include "support/tracer.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <future>
#include <initializer_list>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

// Command prefix of a writer that takes a different lock file.
std::string without_the_lock(const Testbed& bed) {
  return fmt::format("XTABLES_LOCKFILE={}.lock ", bed.runtime_dir());
}

bool has_journal(const Testbed& bed) {
  return exec("find " + bed.runtime_dir()).find("journal.jsonl") != std::string::npos;
}

// Adds a rule to table nat and removes it, continuously and without the lock, like iptables before it had
// one. It retries when the tables have changed under it.
class LocklessWriter {
 public:
  LocklessWriter(const Testbed& bed, std::string rule)
      : iptables_(without_the_lock(bed) + "iptables-legacy -t nat "),
        rule_(std::move(rule)),
        thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            change("-A " + rule_);
            change("-D " + rule_);
            ++rounds_;
          }
          change("-A " + rule_);
        }) {}

  /// Ends it with its rule in the table. Returns the number of completed rounds.
  int end() {
    thread_.request_stop();
    thread_.join();
    return rounds_;
  }
  /// Output of its failed command, if any; call after end().
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  void change(const std::string& what) {
    constexpr int kResourceProblem = 4;
    for (;;) {
      const auto done = try_exec(iptables_ + what);
      // Our change came between the two calls of its change: its rule is right, the counters are not.
      const bool half_done = done.output.find("Invalid argument") != std::string::npos;
      if (done.status == 0 || half_done) return;
      if (done.status == kResourceProblem) continue;
      failure_ = done.output;
      return;
    }
  }

  std::string iptables_;
  std::string rule_;
  std::string failure_;
  int rounds_ = 0;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("a set-up waits for the holder of the lock, and changes nothing until then") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  std::optional<firewall::XtablesLock> lock(std::in_place, soon());
  auto waiting = std::async(std::launch::async, [&] {
    return bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  });
  REQUIRE(eventually([&] { return has_journal(bed); }, 10s));  // the next step is the first table
  CHECK(waiting.wait_for(300ms) == std::future_status::timeout);
  CHECK_FALSE(Testbed::has_ours());
  CHECK_FALSE(route_localnet("br0"));
  lock.reset();
  auto exposure = waiting.get();
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a set-up that does not get the lock in time reports it, and leaves nothing") {
  Testbed bed;
  const auto exposer =
      make_exposer({.path = Path::native, .runtime_dir = bed.runtime_dir(), .deadline = 300ms});
  const firewall::XtablesLock lock(soon());
  const Error error = error_of([&] { exposer->expose(Target::bridge("br0"), {HostPort::same(8088)}); });
  CHECK(error.code() == Errc::timed_out);
  CHECK(std::string_view(error.what()).ends_with("another program has held /run/xtables.lock for too long"));
  CHECK(error.hint() == "see who: fuser -v /run/xtables.lock");
  CHECK(bed.changes() == "");
}

TEST_CASE(
    "beside a writer without the lock, every set-up and tear-down succeeds, and the writer's rules stay "
    "right") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  const LogCount collisions("changed under us");
  const auto exposer = bed.exposer();
  {
    LocklessWriter writer(bed, "OUTPUT -d 192.0.2.1 -j ACCEPT");
    constexpr int rounds = 60;
    for (int i = 0; i < rounds; ++i) {
      auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
      CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
      exposure.release();
      CHECK_FALSE(route_localnet("br0"));
    }
    const auto his = writer.end();
    MESSAGE(fmt::format("{} of ours, {} of the writer's, {} collisions", rounds, his, collisions.times()));
    CHECK(writer.failure() == "");
  }
  CHECK(exec("iptables-legacy -t nat -S OUTPUT") ==
        "-P OUTPUT ACCEPT\n-A OUTPUT -d 192.0.2.1/32 -j ACCEPT\n");
  exec("iptables-legacy -t nat -D OUTPUT 1; rm " + bed.runtime_dir() + ".lock");
  CHECK(bed.changes() == "");
}

TEST_CASE("a writer without the lock, at any step of a set-up or tear-down, does not make it fail") {
  Testbed bed(Testbed::OwnRules::none);
  const std::vector<std::string> command{std::getenv("TC_HOSTNET"), "--runtime-dir", bed.runtime_dir(),
                                         "--quiet"};
  const auto tc_hostnet = [&command](std::initializer_list<std::string> words) {
    auto all = command;
    all.insert(all.end(), words);
    return all;
  };
  // Adds or removes the writer's rule in every table while ours are being changed.
  const auto meddle = [&bed](const char* what) {
    std::string rules;
    for (const char* const table : {"raw", "mangle", "nat", "filter"})
      rules += fmt::format("*{}\n{} OUTPUT -d 192.0.2.1 -j ACCEPT\nCOMMIT\n", table, what);
    exec(without_the_lock(bed) + "iptables-legacy-restore --noflush", rules);
  };
  int met = 0;
  const auto meet_all = [&](const std::vector<std::string>& argv, bool before, bool after) {
    for (unsigned n = 0;; ++n) {
      CAPTURE(n);
      if (before) exec(fmt::format("{} expose 8088 --bridge br0 --detach", join(command, " ")));
      const auto end = meet_before_change(argv, "setsockopt", n, [&] { meddle("-A"); });
      CHECK(end.status == 0);
      CHECK(route_localnet("br0") == after);
      CHECK(bed.unguarded() == "");
      if (!end.call.empty()) meddle("-D");  // fails if the writer's rule is gone
      exec(fmt::format("rm -f {}.lock; {} list", bed.runtime_dir(), join(command, " ")));
      // The background process still has to notice that its lease is gone.
      CHECK(eventually([&] { return bed.changes().empty(); }, 10s));
      CHECK(bed.changes() == "");
      if (end.call.empty()) break;
      ++met;
    }
  };
  SUBCASE("set-up") { meet_all(tc_hostnet({"expose", "8088", "--bridge", "br0", "--detach"}), false, true); }
  SUBCASE("tear-down") { meet_all(tc_hostnet({"release", "--all"}), true, false); }
  CHECK(met > 8);  // four tables, two calls each
}

TEST_CASE("an intact lease is not touched, however long another process holds the lock") {
  Testbed bed(Testbed::OwnRules::none);
  SUBCASE("with our rules in ip_tables alone") {}
  SUBCASE("with some in iptables-nft, too") { exec("iptables-nft -P INPUT DROP"); }
  const Service web(loopback(8088), "web");
  const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({HostPort::same(8088)}));
  exposer::LeaseStore store(bed.runtime_dir());
  auto transaction = store.begin(Deadline::after(3s));
  const LogCount told("route_localnet is off");
  {
    const firewall::XtablesLock lock(soon());
    CHECK_FALSE(transaction.repair());
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  }
  CHECK(told.times() == 0);
}

TEST_CASE("a guard that cannot be restored immediately closes the bridge until it is restored") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  {
    const firewall::XtablesLock lock(soon());
    exec(without_the_lock(bed) + "iptables-legacy -t raw -F TCHN-RAW; rm " + bed.runtime_dir() + ".lock");
    CHECK(eventually([] { return !route_localnet("br0"); }, 4s));
  }
  CHECK(eventually([&] { return dial(bed.container, {bed.gateway, 8088}) == "web"; }, 4s));
  CHECK(bed.unguarded() == "");
  CHECK(exposure.state() == ExposureState::active);
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("the end of one lease does not open a bridge whose guard cannot be restored for the other") {
  Testbed bed(Testbed::OwnRules::none);
  {
    exposer::LeaseStore store(bed.runtime_dir());
    const UnwatchedLeases other(bed.runtime_dir(), Testbed::on_br0({HostPort::same(8088)}));
    const std::vector<ExposeRequest> requests{Testbed::on_br0({HostPort::same(8089)})};
    const auto ready = make_ready(store, requests);
    store.begin(soon()).add(ready.prepared.leases, ready.prepared.bridges);
    const std::set<std::string> ours{ready.prepared.leases.front().id};
    store.close(store.peek());
    exec("iptables-legacy -t raw -F TCHN-RAW");
    {
      const firewall::XtablesLock lock(soon());
      CHECK(error_of([&] { store.begin(Deadline::after(0ms)).remove(ours); }).code() == Errc::failure);
      CHECK_FALSE(route_localnet("br0"));
    }
    store.begin(soon()).remove(ours);
    CHECK(route_localnet("br0"));
    CHECK(bed.unguarded() == "");
  }
  CHECK(bed.changes() == "");
}
