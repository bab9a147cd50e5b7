// The choice of the firewall: all leases use one, and neither keeps leftovers.
#include "core/file.hpp"
#include "firewall/backend.hpp"
#include "support/expect_error.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <string>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

Firewall tested() { return on_nftables() ? Firewall::nftables : Firewall::iptables; }
Firewall untested() { return on_nftables() ? Firewall::iptables : Firewall::nftables; }

// While it lives, only the machine decides.
class NoWish {
 public:
  NoWish() : before_(std::getenv(kName)) { ::unsetenv(kName); }
  NoWish(const NoWish&) = delete;
  NoWish& operator=(const NoWish&) = delete;
  ~NoWish() { ::setenv(kName, before_.c_str(), 1); }

 private:
  static constexpr const char* kName = "TC_HOSTNET_FIREWALL";
  std::string before_;
};

std::string command(const Testbed& bed) {
  return std::string(std::getenv("TC_HOSTNET")) + " --runtime-dir " + bed.runtime_dir() + " ";
}

std::unique_ptr<Exposer> exposer_in(const Testbed& bed, Firewall firewall) {
  ExposerOptions options;
  options.path = Path::native;
  options.runtime_dir = bed.runtime_dir();
  options.firewall = firewall;
  return make_exposer(options);
}

bool is_in(Firewall firewall) {
  const bool nft = exec("nft list tables").find("tc_hostnet") != std::string::npos;
  const bool legacy = exec("iptables-legacy-save").find("TCHN-RAW") != std::string::npos;
  return firewall == Firewall::nftables ? nft && !legacy : legacy && !nft;
}

}  // namespace

TEST_CASE("of itself it takes nftables, unless a legacy table nat is in use") {
  const NoWish no_wish;
  const MovedThread fresh;
  CHECK(firewall::choose(Firewall::automatic).kind == Firewall::nftables);
  exec("iptables-legacy -w -t filter -n -L");
  CHECK(firewall::choose(Firewall::automatic).kind == Firewall::nftables);
  exec("iptables-legacy -w -t nat -n -L");
  CHECK(firewall::choose(Firewall::automatic).kind == Firewall::iptables);
}

TEST_CASE("in nftables no legacy table comes into being, and the other way round") {
  const MovedThread fresh;
  const TempDir runtime_dir;
  exec(
      "ip link set lo up; ip link add br0 type bridge; ip address add 198.18.0.1/24 dev br0; ip link set br0 "
      "up");
  const auto exposer =
      make_exposer({.path = Path::native, .runtime_dir = runtime_dir.path().string(), .firewall = tested()});
  auto exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
  const auto legacy = read_file("/proc/thread-self/net/ip_tables_names");
  const auto nft = exec("nft list ruleset");
  CHECK(legacy.empty() == on_nftables());
  CHECK(nft.empty() != on_nftables());
  exposure.release();
  CHECK(exec("nft list ruleset") == "");
}

TEST_CASE("all leases of a namespace stand in one firewall, and another wish is refused") {
  Testbed bed;
  auto exposure = exposer_in(bed, tested())->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(is_in(tested()));
  const auto held = bed.snapshot();

  const auto error =
      error_of([&] { exposer_in(bed, untested())->expose(Target::bridge("br0"), {HostPort::same(9000)}); });
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()).find(fmt::format("stand in {}", to_string(tested()))) != std::string::npos);
  CHECK(error.hint().find("tc-hostnet release --all") != std::string::npos);
  const auto refused =
      try_exec(command(bed) + "expose 9000 --bridge br0 --detach --firewall " + to_string(untested()));
  CHECK(refused.status == 8);
  CHECK(difference(held, bed.snapshot()) == "");

  // A caller without a preference uses the leases' firewall, whatever the machine suggests.
  {
    const auto mine = tested();
    const NoWish no_wish;
    auto other = exposer_in(bed, Firewall::automatic)->expose(Target::bridge("br1"), {HostPort::same(8088)});
    CHECK(is_in(mine));
    exec(command(bed) + "release " + exec(command(bed) + "expose 9000 --bridge br0 --detach 2>/dev/null"));
    CHECK(is_in(mine));
  }
  exposure.release();
  // The background process has not yet noticed that it has no leases.
  CHECK(eventually([&] { return bed.changes().empty(); }, std::chrono::seconds{10}));
  CHECK(bed.changes() == "");

  // After the last lease the choice is free again.
  auto again = exposer_in(bed, untested())->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(is_in(untested()));
  again.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("commands that select the other firewall also maintain leases in the first") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  auto exposure = exposer_in(bed, untested())->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  CHECK(exec(command(bed) + "inspect " + exposure.id()).find("yes") != std::string::npos);
  CHECK(exec(command(bed) + "status").find("guard in place") != std::string::npos);
  exec(command(bed) + "release --all");
  CHECK(eventually([&] { return bed.changes().empty(); }, 2s));
  CHECK(bed.changes() == "");
}

TEST_CASE("from an unreadable journal, everything of ours is taken away in whichever firewall it stands") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  for (const auto firewall : {tested(), untested()}) {
    CAPTURE(to_string(firewall));
    exec(command(bed) + "expose 8088 --bridge br0 --detach --quiet --firewall " + to_string(firewall));
    const auto pid =
        exec(command(bed) + "list --json | sed 's/.*\"owner\":{[^}]*\"pid\":\\([0-9]*\\).*/\\1/'");
    REQUIRE(::kill(static_cast<pid_t>(std::stol(pid)), SIGKILL) == 0);
    CHECK(is_in(firewall));
    exec("for f in " + bed.runtime_dir() + "/*/journal.jsonl; do echo '{' >$f.tmp; mv $f.tmp $f; done");
    CHECK(try_exec(command(bed) + "list").status != 0);
    exec(command(bed) + "release --all");
    CHECK_FALSE(Testbed::has_ours());
    CHECK_FALSE(route_localnet("br0"));
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "(refused)");
  }
}
