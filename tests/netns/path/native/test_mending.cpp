// Changes by others to a lease: flushed rules return; a removed bridge ends its lease.
#include "firewall/xtables_lock.hpp"
#include "support/log_count.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

// The last notice of the state callback.
class Told {
 public:
  StateCallback callback() {
    return [this](const std::string&, ExposureState state, const std::string& reason) {
      const std::scoped_lock lock(mutex_);
      last_ = std::string(to_string(state)) + ": " + reason;
    };
  }
  std::string last() {
    const std::scoped_lock lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;
  std::string last_;
};

// Removes the guard and blocks every repair and every other removal while it lives.
class Siege {
 public:
  explicit Siege(const Testbed& bed) {
    if (on_nftables()) {
      owner_.reset(::popen("nft -i >/dev/null 2>&1", "w"));
      std::fputs("delete table ip tc_hostnet; add table ip tc_hostnet { flags owner; }\n", owner_.get());
      std::fflush(owner_.get());
      return;
    }
    lock_.emplace(Deadline::after(5s));
    exec(fmt::format("XTABLES_LOCKFILE={}.lock iptables-legacy -w -t raw -F TCHN-RAW; rm {}.lock",
                     bed.runtime_dir(), bed.runtime_dir()));
  }

 private:
  std::unique_ptr<FILE, int (*)(FILE*)> owner_{nullptr, ::pclose};
  std::optional<firewall::XtablesLock> lock_;
};

// Changes that people and programs make to foreign rules. They wait for the xtables lock, which a check of
// the rules holds at times.
std::vector<std::string> mischiefs() {
  if (on_nftables())
    return {
        "nft flush ruleset",
        "nft delete table ip tc_hostnet",
        "nft flush table ip tc_hostnet",
        "nft flush chain ip tc_hostnet guard_raw",
        "nft flush chain ip tc_hostnet guard_out",
        "nft flush chain ip tc_hostnet guard_in",
        "nft flush chain ip tc_hostnet doors",
        "nft flush set ip tc_hostnet bridges_raw",
        "nft flush set ip tc_hostnet bridges_out",
        "nft flush set ip tc_hostnet gateways_in",
        "nft flush map ip tc_hostnet by_bridge",
        "nft delete element ip tc_hostnet by_bridge '{ \"br0\" . 198.18.0.1 . tcp . 8088 }'",
        "nft 'delete element ip tc_hostnet by_bridge { \"br0\" . 198.18.0.1 . tcp . 8088 }; add element ip "
        "tc_hostnet by_bridge { \"br0\" . 198.18.0.1 . tcp . 8088 : 127.0.0.1 . 9 }'",
        "nft add element ip tc_hostnet by_bridge '{ \"br0\" . 198.18.0.1 . tcp . 9 : 127.0.0.1 . 9 }'",
        "nft insert rule ip tc_hostnet guard_raw accept",
        "nft delete rule ip tc_hostnet guard_raw handle "
        "$(nft -a list chain ip tc_hostnet guard_raw | sed -n '/ip saddr/s/.*handle //p')",
        "nft delete rule ip tc_hostnet guard_in handle "
        "$(nft -a list chain ip tc_hostnet guard_in | sed -n '/ct status expected/s/.*handle //p')",
        "nft add table ip tc_hostnet '{ flags dormant; }'",
    };
  return {
      "iptables-legacy -w -t nat -F",
      "iptables-legacy -w -t raw -F",
      "iptables-legacy -w -t mangle -F",
      "iptables-legacy -w -t filter -F",
      // A repair between the two keeps its chains.
      "for t in nat filter mangle raw; do iptables-legacy -w -t $t -F; iptables-legacy -w -t $t -X || true; "
      "done",
      "iptables-legacy -w -t raw -F TCHN-RAW",
      "iptables-legacy -w -t raw -D TCHN-RAW 2",
      "iptables-legacy -w -t nat -D TCHN-PRE 1",
      "iptables-legacy -w -D TCHN-IN 1",
      "iptables-legacy -w -t mangle -D TCHN-POST 1",
      "iptables-legacy-restore -w </dev/null; printf '*nat\\nCOMMIT\\n*raw\\nCOMMIT\\n' | "
      "iptables-legacy-restore -w",
  };
}

}  // namespace

TEST_CASE("rules and settings that another program removes come back within a second") {
  for (const auto& mischief : mischiefs()) {
    CAPTURE(mischief);
    Testbed bed(Testbed::OwnRules::none);
    const Service web(loopback(8088), "web");
    auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    const auto whole = bed.snapshot();
    const LogCount mendings("are restored");
    CHECK(try_exec(mischief).status == 0);
    CHECK(eventually([&] { return mendings.times() > 0; }, 1s));
    CHECK(eventually([&] { return bed.snapshot() == whole; }, 1s));
    CHECK(difference(whole, bed.snapshot()) == "");
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    CHECK(exposure.state() == ExposureState::active);
    exposure.release();
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("what is taken away right after a set-up comes back within a second, too") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  const auto saved = bed.runtime_dir() + ".saved";
  exec("iptables-legacy-save >" + saved);
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  // The legacy tables then have the same size as at the monitor's start.
  exec(on_nftables() ? "nft delete table ip tc_hostnet"
                     : fmt::format("iptables-legacy-restore -w <{0}; rm {0}", saved));
  CHECK(eventually([&] { return dial(bed.container, {bed.gateway, 8088}) == "web"; }, 1s));
  exposure.release();
  exec("rm -f " + saved);
  CHECK(bed.changes() == "");
}

TEST_CASE("route_localnet that another program switches off comes back within a second") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  // Late link events of the interfaces must not trigger the check.
  std::this_thread::sleep_for(1500ms);
  exec("sysctl -qw net.ipv4.conf.br0.route_localnet=0");
  CHECK(eventually([] { return route_localnet("br0"); }, 1s));
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("iptables-nft's INPUT, flushed under a lease, lets the traffic in again within a second") {
  Testbed bed(Testbed::OwnRules::none);
  exec("iptables-nft -A INPUT -i lo -j ACCEPT; iptables-nft -P INPUT DROP");
  bed.remember();
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  exec("iptables-nft -F INPUT; iptables-nft -A INPUT -i lo -j ACCEPT");
  CHECK(eventually(
      [&] {
        return dial(bed.container, {bed.gateway, 8088}, SOCK_STREAM, 100ms) == "web";
      },
      1s));
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a guard that cannot be put back closes the bridge, and its lease ends as failed") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  Told told;
  auto exposure = bed.exposer(told.callback())->expose(Target::bridge("br0"), {HostPort::same(8088)});
  CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
  std::optional<Siege> siege(std::in_place, bed);
  // Long before the monitor gives up on the guard.
  CHECK(eventually([] { return !route_localnet("br0"); }, 4s));
  bool opened = false;
  CHECK(eventually(
      [&] {
        opened = opened || route_localnet("br0");
        return exposure.state() == ExposureState::failed;
      },
      30s));
  CHECK(exposure.reason().starts_with("cannot be repaired: "));
  CHECK(eventually([&] { return told.last() == "failed: " + exposure.reason(); }, 5s));
  CHECK_FALSE(eventually([] { return route_localnet("br0"); }, 2s));
  CHECK_FALSE(opened);
  exposure.release();
  siege.reset();
  // By the monitor, at one of its next checks.
  CHECK(eventually([&] { return bed.changes().empty(); }, 30s));
  CHECK(bed.changes() == "");
}

TEST_CASE("a bridge that is deleted under a lease takes the lease with it") {
  Testbed bed;
  exec("ip link delete br1");
  bed.remember();
  exec("ip link add br1 type bridge; ip address add 198.18.1.1/24 dev br1; ip link set br1 up");
  const Service web(loopback(8088), "web");
  Told told;
  const auto exposer = bed.exposer(told.callback());
  auto doomed = exposer->expose(Target::bridge("br1"), {HostPort::same(8088)});
  SUBCASE("alone") {
    exec("ip link delete br1");
    CHECK(eventually([&] { return doomed.state() == ExposureState::failed; }, 1s));
    CHECK(doomed.reason() == "bridge br1 is gone");
    CHECK(eventually([&] { return told.last() == "failed: bridge br1 is gone"; }, 1s));
    doomed.release();
    CHECK(bed.changes() == "");
  }
  SUBCASE("while another one stands") {
    auto other = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
    exec("ip link delete br1");
    CHECK(eventually([&] { return doomed.state() == ExposureState::failed; }, 1s));
    CHECK(dial(bed.container, {bed.gateway, 8088}) == "web");
    other.release();
    CHECK(bed.changes() == "");
  }
  SUBCASE("and a new one of its name has nothing of it") {
    exec(
        "ip link delete br1; ip link add br1 type bridge; ip address add 198.18.1.1/24 dev br1; ip link set "
        "br1 up");
    CHECK(eventually([&] { return doomed.state() == ExposureState::failed; }, 1s));
    CHECK_FALSE(route_localnet("br1"));
    CHECK_FALSE(Testbed::has_ours());
    auto again = exposer->expose(Target::bridge("br1"), {HostPort::same(8088)});
    again.release();
    exec("ip link delete br1");
    CHECK(bed.changes() == "");
  }
}

TEST_CASE("a bridge that is renamed under a lease stays guarded and the lease goes on by the new name") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
  exec("ip link set br0 down; ip link set br0 name brx; ip link set brx up");
  CHECK(eventually([&] { return dial(bed.container, {bed.gateway, 8088}) == "web"; }, 2s));
  const auto rules = Testbed::rules();
  const auto has = [&rules](const char* text) { return rules.find(text) != std::string::npos; };
  if (on_nftables()) {
    CHECK(has("\"brx\""));
    CHECK_FALSE(has("\"br0\""));
  } else {
    CHECK(has("-A PREROUTING -i brx -m comment --comment \"tc-hostnet:brx\" -j TCHN-RAW"));
    CHECK(try_exec("iptables-legacy-save | grep TCHN | grep -e '-i br0'").output == "");
  }
  exec("ip link set brx down; ip link set brx name br0; ip link set br0 up");
  CHECK(eventually([&] { return Testbed::rules().find("brx") == std::string::npos; }, 1s));
  CHECK(exposure.state() == ExposureState::active);
  exposure.release();
  CHECK(bed.changes() == "");
}

TEST_CASE("a renamed bridge is cleaned up under its new name, even without a monitor") {
  Testbed bed;
  const Service web(loopback(8088), "web");
  {
    auto exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    exec("ip link set br0 down; ip link set br0 name brx; ip link set brx up");
    exposure.release();
    CHECK_FALSE(route_localnet("brx"));
    CHECK_FALSE(Testbed::has_ours());
  }
  exec("ip link set brx down; ip link set brx name br0; ip link set br0 up");
  CHECK(bed.changes() == "");
}

TEST_CASE("a bridge that vanishes during a change ends only its own leases") {
  Testbed bed;
  const std::vector<ExposeRequest> theirs{{.target = Target::bridge("br1"), .ports = {HostPort::same(5432)}}};
  const std::vector<ExposeRequest> ours{Testbed::on_br0({HostPort::same(8088)})};
  exposer::LeaseStore store(bed.runtime_dir());
  auto transaction = store.begin(soon());
  transaction.reap();
  const auto other = make_ready(store, theirs);
  transaction.add(other.prepared.leases, other.prepared.bridges);
  const auto ready = make_ready(store, ours);
  bool gone = false;
  const auto delete_br1 = [&gone](const exposer::Step& step) {
    if (gone || !std::holds_alternative<exposer::SetRouteLocalnet>(step)) return;
    exec("ip link delete br1; ip link add br1 type bridge");
    gone = true;
  };
  const auto& lease = ready.prepared.leases.front().id;

  SUBCASE("a set-up") {
    store.executor().set_hook(delete_br1);
    CHECK_NOTHROW(transaction.add(ready.prepared.leases, ready.prepared.bridges));
    CHECK(route_localnet("br0"));
  }
  SUBCASE("a tear-down") {
    transaction.add(ready.prepared.leases, ready.prepared.bridges);
    store.executor().set_hook(delete_br1);
    CHECK_NOTHROW(transaction.remove({lease}));
    CHECK_FALSE(route_localnet("br0"));
  }
  CHECK(gone);
  CHECK(bed.unguarded() == "");
  const auto ended = transaction.reap();
  REQUIRE(ended.size() == 1);
  CHECK(ended.front().lease == other.prepared.leases.front().id);
  CHECK(ended.front().reason == "bridge br1 is gone");
  transaction.remove({lease});
  CHECK_FALSE(Testbed::has_ours());
}

TEST_CASE("rules that are flushed while they are set up come back within a second as well") {
  Testbed bed(Testbed::OwnRules::none);
  const Service web(loopback(8088), "web");
  for (int turn = 0; turn < 30; ++turn) {
    CAPTURE(turn);
    std::optional<Exposure> exposure;
    {
      // Its program is loaded and waits for the end of its input, so it acts at once.
      std::unique_ptr<FILE, int (*)(FILE*)> input(
          ::popen(on_nftables() ? "nft -f -" : "iptables-legacy-restore -w", "w"), ::pclose);
      std::fputs(on_nftables() ? "flush ruleset\n" : "*raw\nCOMMIT\n", input.get());
      std::this_thread::sleep_for(10ms);
      const std::jthread stranger([&] {
        std::this_thread::sleep_for(turn * (on_nftables() ? 300us : 80us));
        input.reset();
      });
      exposure = bed.exposer()->expose(Target::bridge("br0"), {HostPort::same(8088)});
    }
    CHECK(eventually(
        [&] {
          return bed.unguarded().empty() && dial(bed.container, {bed.gateway, 8088}) == "web";
        },
        1s));
    exposure->release();
  }
  CHECK(bed.changes() == "");
}
