// One lease added or removed beside others: a small change, after which the complete state stands, whatever
// others have changed in between.
#include "firewall/backend.hpp"
#include "netlink/link.hpp"
#include "path/native/transition.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace hostnet;
using namespace test;

namespace {

// A process that holds leases, reduced to its store.
class Process {
 public:
  explicit Process(const Testbed& bed) : store_(bed.runtime_dir()), owner_(std::in_place, store_.folder()) {
    store_.executor().set_hook([this](const exposer::Step& step) { steps_.push_back(describe(step)); });
  }

  void add(const std::string& id, const std::string& bridge, std::uint16_t port) {
    const auto link = netlink::Rtnl().link(bridge).value();
    state::Lease lease;
    lease.id = id;
    lease.owner = owner_->id();
    lease.ifindex = link.ifindex;
    lease.gateways = {Ipv4::parse(bridge == "br0" ? "198.18.0.1" : "198.18.1.1").value()};
    lease.ports = {HostPort::same(port)};
    const state::Bridge opened{
        .ifindex = link.ifindex, .name = bridge, .prior_route_localnet = link.route_localnet};
    auto transaction = store_.begin(soon());
    steps_.clear();
    transaction.add({lease}, std::span(&opened, 1));
    check_all_stands(transaction.held());
  }

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    owner_.reset();
    store_.begin(soon()).tidy();
  }

  void remove(const std::string& id) {
    auto transaction = store_.begin(soon());
    steps_.clear();
    transaction.remove({id});
    check_all_stands(transaction.held());
  }

  [[nodiscard]] bool was_small() const { return !steps_.empty() && steps_.front().starts_with("change "); }

 private:
  // Checked by a store without history.
  static void check_all_stands(const state::Snapshot& held) {
    const auto backend = firewall::make_backend(held.firewall);
    for (const auto& plan : exposer::ruleset_of(held).tables) {
      CAPTURE(to_string(plan.table));
      CHECK(backend->matches(plan));
    }
    netlink::Rtnl rtnl;
    for (const auto& bridge : held.bridges) CHECK(rtnl.link(bridge.ifindex).value().route_localnet);
  }

  exposer::LeaseStore store_;
  std::optional<state::Owner> owner_;
  std::vector<std::string> steps_;
};

}  // namespace

TEST_CASE("leases come and go one by one, and on nftables only their own forwards are touched") {
  const Testbed bed;
  {
    Process process(bed);
    for (std::uint16_t i = 0; i < 10; ++i) {
      CAPTURE(i);
      process.add(fmt::format("a{}", i), "br0", static_cast<std::uint16_t>(8000 + i / 2));
      CHECK(process.was_small() == (on_nftables() && i > 0));
    }
    process.add("b0", "br1", 8000);  // this bridge needs a guard first
    CHECK_FALSE(process.was_small());
    process.add("b1", "br1", 8001);
    CHECK(process.was_small() == on_nftables());
    for (int i = 0; i < 10; ++i) {
      CAPTURE(i);
      process.remove(fmt::format("a{}", i));
      // The second of two leases on a port takes over the rule; the last one removes the guard.

      CHECK(process.was_small() == (on_nftables() && i < 9));
    }
    process.remove("b1");
    process.remove("b0");
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("what others have changed in between is noticed and put right with the next lease") {
  const Testbed bed(Testbed::OwnRules::none);
  {
    Process process(bed);
    process.add("a0", "br0", 8000);
    process.add("a1", "br0", 8001);

    exec("nft add table ip theirs");
    process.add("a2", "br0", 8002);
    CHECK_FALSE(process.was_small());
    exec("nft delete table ip theirs");

    exec(on_nftables() ? "nft delete element ip tc_hostnet by_bridge '{ \"br0\" . 198.18.0.1 . 6 . 8001 }'"
                       : "iptables-legacy -w 5 -t nat -F TCHN-PRE");
    process.add("a3", "br0", 8003);
    exec(on_nftables() ? "nft delete table ip tc_hostnet" : "iptables-legacy -w 5 -t raw -F PREROUTING");
    process.remove("a3");

    exec("echo 0 >/proc/sys/net/ipv4/conf/br0/route_localnet");
    process.add("a4", "br0", 8004);
    CHECK(process.was_small() == on_nftables());

    // Another process acts between two changes of this one.
    Process other(bed);
    other.add("b0", "br0", 9000);
    process.add("a5", "br0", 8005);
    other.remove("b0");
    process.remove("a5");
    other.add("b1", "br1", 9000);
    for (const char* const id : {"a0", "a1", "a2", "a4"}) process.remove(id);
    other.remove("b1");
  }
  CHECK(bed.changes() == "");
}
