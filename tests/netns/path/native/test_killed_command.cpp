// The real command, killed before every system call that changes something: no bridge is ever open without
// its guard, and one `tc-hostnet list` restores everything.
#include "support/forked.hpp"
#include "support/testbed.hpp"
#include "support/tracer.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <string>

using namespace hostnet;
using namespace test;

namespace {

class Command {
 public:
  explicit Command(const Testbed& bed)
      : words_{std::getenv("TC_HOSTNET"), "--runtime-dir", bed.runtime_dir(), "--quiet"} {}

  [[nodiscard]] std::vector<std::string> with(std::initializer_list<std::string> arguments) const {
    auto all = words_;
    all.insert(all.end(), arguments);
    return all;
  }
  /// stdout of a call that must succeed.
  std::string operator()(const std::string& arguments) const {
    std::string line;
    for (const auto& word : words_) line += word + " ";
    return exec(line + arguments + " 2>&1");
  }

 private:
  std::vector<std::string> words_;
};

pid_t owner_of_the_lease(const Command& tc_hostnet) {
  return static_cast<pid_t>(
      std::stol(exec("sed 's/.*\"owner\":{[^}]*\"pid\":\\([0-9]*\\).*/\\1/'", tc_hostnet("list --json"))));
}

// The number of kills per call, to show that the test did its work.
std::string summary(const std::map<std::string, int>& calls) {
  std::string out;
  for (const auto& [call, count] : calls) out += fmt::format(" {} {}", count, call);
  return out;
}

// Four parts, each with two setsockopt(2) to ip_tables or one nf_tables transaction.
void check_was_at_work(std::map<std::string, int>& calls) {
  if (on_nftables())
    CHECK(calls["sendmsg"] >= 4);
  else
    CHECK(calls["setsockopt"] > 8);
}

// For every tc-hostnet on this machine.
std::string our_temporary_files() { return exec("ls -d /tmp/*tc-hostnet* 2>/dev/null || true"); }

void check_killed_set_up(const Testbed& bed, const std::vector<std::string>& argv,
                         const Command& tc_hostnet) {
  std::map<std::string, int> calls;
  for (unsigned n = 0;; ++n) {
    CAPTURE(n);
    const auto end = kill_before_change(argv, n);
    CAPTURE(end.call);
    REQUIRE((end.killed || end.status == 0));
    CHECK(bed.unguarded() == "");
    tc_hostnet("list");
    CHECK(bed.changes() == "");
    if (!end.killed) break;
    ++calls[end.call];
  }
  MESSAGE("killed before:" << summary(calls));
  check_was_at_work(calls);
  CHECK(calls["rename"] > 0);
}

}  // namespace

TEST_CASE("expose --detach killed before any change") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  check_killed_set_up(bed, tc_hostnet.with({"expose", "8088", "--bridge", "br0", "--detach"}), tc_hostnet);
}

TEST_CASE("run killed before any change") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  std::map<std::string, int> calls;
  const auto files = our_temporary_files();
  for (unsigned n = 0;; ++n) {
    CAPTURE(n);
    const auto end = kill_before_change(tc_hostnet.with({"run", "-p", "8088", "--", "true"}), n);
    CAPTURE(end.call);
    REQUIRE((end.killed || end.status == 0));
    tc_hostnet("list");
    // The kernel removes an ended namespace late, and with it the host's end of the pair.
    CHECK(eventually([] { return exec("ip -o link").find("tchn-") == std::string::npos; },
                     std::chrono::seconds{20}));
    CHECK(bed.changes() == "");
    CHECK(our_temporary_files() == files);
    if (!end.killed) break;
    ++calls[end.call];
  }
  MESSAGE("killed before:" << summary(calls));
  check_was_at_work(calls);
  CHECK(calls["mount"] > 0);
}

TEST_CASE("release killed before any change") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  std::map<std::string, int> calls;
  for (unsigned n = 0;; ++n) {
    CAPTURE(n);
    tc_hostnet("expose 8088 --bridge br0 --detach");
    CHECK(bed.changes() != "");
    const auto end = kill_before_change(tc_hostnet.with({"release", "--all"}), n);
    CAPTURE(end.call);
    REQUIRE((end.killed || end.status == 0));
    CHECK(bed.unguarded() == "");
    // Either the release had begun and the next process finishes it, or the lease is unchanged.
    if (!tc_hostnet("list --json").empty()) tc_hostnet("release --all");
    // The background process has not yet noticed that it has no leases.
    CHECK(eventually([&] { return bed.changes().empty(); }, std::chrono::seconds{2}));
    CHECK(bed.changes() == "");
    if (!end.killed) break;
    ++calls[end.call];
  }
  MESSAGE("killed before:" << summary(calls));
  check_was_at_work(calls);
  CHECK(calls["unlink"] > 0);
}

TEST_CASE("list killed before any change while it finishes what a dead owner left") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  for (unsigned n = 0;; ++n) {
    CAPTURE(n);
    tc_hostnet("expose 8088 --bridge br0 --detach");
    const pid_t owner = owner_of_the_lease(tc_hostnet);
    REQUIRE(::kill(owner, SIGKILL) == 0);
    REQUIRE(eventually([&] { return is_dead(owner); }, std::chrono::seconds{2}));
    const auto end = kill_before_change(tc_hostnet.with({"list"}), n);
    REQUIRE((end.killed || end.status == 0));
    CHECK(bed.unguarded() == "");
    tc_hostnet("list");
    CHECK(bed.changes() == "");
    if (!end.killed) break;
  }
}

TEST_CASE("an owner that is killed, in the foreground or detached, leaves what the next command takes away") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  for (const bool detached : {true, false}) {
    CAPTURE(detached);
    if (detached) {
      tc_hostnet("expose 8088 --bridge br0 --detach");
    } else {
      tc_hostnet("expose 8088 --bridge br0 >/dev/null 2>&1 </dev/null &");
      REQUIRE(eventually([&] { return !tc_hostnet("list --json").empty(); }, std::chrono::seconds{5}));
    }
    CHECK(bed.changes() != "");
    const pid_t owner = owner_of_the_lease(tc_hostnet);
    REQUIRE(::kill(owner, SIGKILL) == 0);
    REQUIRE(eventually([&] { return is_dead(owner); }, std::chrono::seconds{2}));
    CHECK(bed.unguarded() == "");
    CHECK(route_localnet("br0"));
    CHECK(tc_hostnet("list --json") == "");
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a foreground owner gives its lease back on SIGTERM and SIGINT") {
  const Testbed bed;
  const Command tc_hostnet(bed);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    CAPTURE(signal);
    tc_hostnet("expose 8088 --bridge br0 >/dev/null 2>&1 </dev/null &");
    REQUIRE(eventually([&] { return !tc_hostnet("list --json").empty(); }, std::chrono::seconds{5}));
    REQUIRE(::kill(owner_of_the_lease(tc_hostnet), signal) == 0);
    CHECK(eventually([&] { return bed.changes().empty(); }, std::chrono::seconds{2}));
    CHECK(bed.changes() == "");
  }
}
