// The order of the steps, on which safety depends.
#include "path/native/transition.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

using namespace hostnet;
using namespace hostnet::exposer;
using firewall::Table;
using state::Bridge;
using state::Lease;
using state::Snapshot;

namespace {

Lease lease(const char* id, int ifindex, std::uint16_t port, std::vector<Ipv4> sources = {}) {
  return {.id = id,
          .ifindex = ifindex,
          .gateways = {Ipv4{0x0a000001U + (static_cast<unsigned>(ifindex) << 8)}},
          .sources = std::move(sources),
          .ports = {HostPort::same(port)}};
}

Bridge bridge(int ifindex, bool prior = false) {
  return {.ifindex = ifindex, .name = "br" + std::to_string(ifindex), .prior_route_localnet = prior};
}

// A model of the kernel, for the safety property.
struct Kernel {
  std::set<std::string> raw, mangle, filter, localnet, forwards;

  void apply(const Step& step) {
    if (const auto* const table = std::get_if<ApplyTable>(&step)) {
      std::set<std::string> bridges;
      for (const auto& jump : table->plan.jumps) bridges.insert(jump.in + jump.out);
      switch (table->plan.table) {
        case Table::raw:
          raw = bridges;
          break;
        case Table::mangle:
          mangle = bridges;
          break;
        case Table::filter:
          filter = bridges;
          break;
        case Table::nat:
          forwards = bridges;
          break;
      }
    } else if (const auto* const set = std::get_if<SetRouteLocalnet>(&step)) {
      if (set->on) {
        localnet.insert(set->bridge);
      } else {
        localnet.erase(set->bridge);
      }
    }
  }

  [[nodiscard]] bool safe() const {
    const auto all_in = [](const std::set<std::string>& part, const std::set<std::string>& whole) {
      return std::includes(whole.begin(), whole.end(), part.begin(), part.end());
    };
    return all_in(localnet, raw) && all_in(localnet, mangle) && all_in(localnet, filter) &&
           all_in(forwards, filter);
  }
};

Kernel kernel_of(const Snapshot& snapshot) {
  Kernel kernel;
  for (const auto& step : transition({}, snapshot)) kernel.apply(step);
  return kernel;
}

std::vector<std::string> words(const std::vector<Step>& steps) {
  std::vector<std::string> out;
  for (const auto& step : steps) out.push_back(describe(step));
  return out;
}

}  // namespace

TEST_CASE("set-up: guard, DNAT, sysctl") {
  const Snapshot after{{bridge(5)}, {lease("0a", 5, 80)}};
  CHECK(words(transition({}, after)) ==
        std::vector<std::string>{"apply 3 rules in table raw", "apply 3 rules in table mangle",
                                 "apply 5 rules in table filter", "apply 2 rules in table nat",
                                 "set route_localnet=1 on br5", "remove all bindings"});
}

TEST_CASE("tear-down: DNAT, flows, sysctl, guard") {
  const Snapshot before{{bridge(5)}, {lease("0a", 5, 80)}};
  CHECK(words(transition(before, {})) ==
        std::vector<std::string>{"apply 0 rules in table nat", "cut the connections through 1 closed ports",
                                 "set route_localnet=0 on br5", "remove all bindings",
                                 "apply 0 rules in table filter", "apply 0 rules in table mangle",
                                 "apply 0 rules in table raw"});
}

TEST_CASE("a pin comes before the forward that it is for and goes after it") {
  auto pinned = lease("0a", 5, 80);
  pinned.sources = {Ipv4{0xc6120002}};
  pinned.port = "veth1";
  auto moved = pinned;
  moved.port = "veth2";
  const Snapshot none;
  const Snapshot one{{bridge(5)}, {pinned}};
  const Snapshot beside{{bridge(5)}, {pinned, lease("0b", 5, 81)}};
  const Snapshot other{{bridge(5)}, {moved}};
  const Snapshot plain{{bridge(5)}, {lease("0b", 5, 81)}};

  // The bindings at each step, and whether a forward of the lease is open without one.
  const auto check = [](const Snapshot& from, const Snapshot& to, const std::vector<Step>& steps) {
    auto bindings = bindings_of(from);
    auto forwards = forwards_of(from);
    const auto covered = [&](const Snapshot& state) {
      const auto wanted = bindings_of(state);
      return std::includes(bindings.bindings.begin(), bindings.bindings.end(), wanted.bindings.begin(),
                           wanted.bindings.end());
    };
    for (const auto& step : steps) {
      if (std::holds_alternative<ApplyBindings>(step)) {
        bindings = std::get<ApplyBindings>(step).plan;
        CHECK(covered(forwards.empty() ? Snapshot() : from));
      }
      if (std::holds_alternative<ChangeForwards>(step) ||
          (std::holds_alternative<ApplyTable>(step) &&
           std::get<ApplyTable>(step).plan.table == firewall::Table::nat)) {
        CHECK(covered(to));
        forwards.clear();
      }
    }
    CHECK(bindings == bindings_of(to));
  };
  for (const auto* const from : {&none, &one, &beside, &other, &plain})
    for (const auto* const to : {&none, &one, &beside, &other, &plain}) {
      check(*from, *to, transition(*from, *to));
      if (const auto steps = small_transition(*from, *to)) check(*from, *to, *steps);
    }
  CHECK(small_transition(plain, beside).has_value());
  CHECK(small_transition(beside, plain).has_value());
}

TEST_CASE("a prior route_localnet of 1 is never written back as 0") {
  const Snapshot before{{bridge(5, true)}, {lease("0a", 5, 80)}};
  for (const auto& step : transition(before, {})) CHECK_FALSE(std::holds_alternative<SetRouteLocalnet>(step));
}

TEST_CASE("with a lease left on the bridge, guard and sysctl stay") {
  const Snapshot before{{bridge(5)}, {lease("0a", 5, 80), lease("0b", 5, 81)}};
  const Snapshot after{{bridge(5)}, {lease("0b", 5, 81)}};
  const auto steps = transition(before, after);
  for (const auto& step : steps)
    if (const auto* const set = std::get_if<SetRouteLocalnet>(&step)) CHECK(set->on);
  auto kernel = kernel_of(before);
  for (const auto& step : steps) kernel.apply(step);
  CHECK(kernel.localnet == std::set<std::string>{"br5"});
  CHECK(kernel.raw == std::set<std::string>{"br5"});
}

TEST_CASE("a lease that says that it is unpinned pins nothing") {
  auto unpinned = lease("0a", 5, 80, {Ipv4{0x0a000002}});
  unpinned.port = "veth1";
  unpinned.unpinned = "this kernel has no nf_tables for bridges";
  Snapshot held{{{.ifindex = 5, .name = "br0"}}, {unpinned}};
  CHECK(bindings_of(held).empty());
  unpinned.unpinned.clear();
  held.leases.replace(unpinned);
  CHECK(bindings_of(held).bindings.size() == 1);
}

TEST_CASE("two leases on the same port: releasing one closes no forward and cuts nothing") {
  const Snapshot before{{bridge(5)}, {lease("0a", 5, 80), lease("0b", 5, 80)}};
  const Snapshot after{{bridge(5)}, {lease("0b", 5, 80)}};
  for (const auto& step : transition(before, after)) CHECK_FALSE(std::holds_alternative<CutFlows>(step));
}

TEST_CASE("equal snapshot put everything right again, guard first") {
  const Snapshot held{{bridge(5)}, {lease("0a", 5, 80)}};
  CHECK(words(transition(held, held)) == words(transition({}, held)));
}

TEST_CASE("between any two steps of any change, no bridge is open without its guard") {
  // All pairs of subsets of four leases on three bridges.
  const std::vector<Lease> all{lease("0a", 5, 80), lease("0b", 5, 81, {Ipv4{1}}), lease("0c", 6, 80),
                               lease("0d", 7, 80)};
  const auto subset = [&](unsigned bits) {
    Snapshot out{{bridge(5), bridge(6), bridge(7)}, {}};
    for (std::size_t i = 0; i < all.size(); ++i)
      if ((bits >> i & 1) != 0) out.leases.push_back(all[i]);
    out.drop_idle_bridges();
    return out;
  };
  for (unsigned from = 0; from < 16; ++from) {
    for (unsigned to = 0; to < 16; ++to) {
      CAPTURE(from);
      CAPTURE(to);
      auto kernel = kernel_of(subset(from));
      REQUIRE(kernel.safe());
      for (const auto& step : transition(subset(from), subset(to))) {
        kernel.apply(step);
        REQUIRE_MESSAGE(kernel.safe(), describe(step));
      }
      const auto wanted = kernel_of(subset(to));
      CHECK(kernel.raw == wanted.raw);
      CHECK(kernel.mangle == wanted.mangle);
      CHECK(kernel.filter == wanted.filter);
      CHECK(kernel.localnet == wanted.localnet);
      CHECK(kernel.forwards == wanted.forwards);
    }
  }
}

TEST_CASE("if only forwards differ, changing them gives the same result as a full transition") {
  // Two guards, and leases that share forwards, ports or nothing, some with several ports and sources.
  auto two = lease("0e", 5, 80);
  two.ports.push_back(HostPort::same(82));
  auto elsewhere = lease("0f", 5, 82);
  elsewhere.gateways.push_back(Ipv4{0x0a000901});
  auto narrow = lease("aa", 6, 80, {Ipv4{3}, Ipv4{4}});
  narrow.mac = Mac::parse("02:00:00:00:00:07");
  const std::vector<Lease> all{lease("0a", 5, 80),
                               lease("0b", 5, 80, {Ipv4{1}}),
                               lease("0c", 6, 80),
                               lease("0d", 5, 80),
                               two,
                               elsewhere,
                               narrow};
  const auto subset = [&](unsigned bits) {
    Snapshot out{{bridge(5), bridge(6)}, {}};
    for (std::size_t i = 0; i < all.size(); ++i)
      if ((bits >> i & 1) != 0) out.leases.push_back(all[i]);
    out.drop_idle_bridges();
    return out;
  };
  const auto as_set = [](const firewall::TablePlan& plan) {
    std::set<std::string> rules;
    for (const auto& rule : plan.rules) rules.insert(to_iptables(rule));
    return rules;
  };
  int small = 0;
  for (unsigned from = 0; from < 128; ++from) {
    for (unsigned to = 0; to < 128; ++to) {
      CAPTURE(from);
      CAPTURE(to);
      const auto before = subset(from);
      const auto after = subset(to);
      const auto steps = small_transition(before, after);
      if (!steps) continue;
      ++small;
      REQUIRE(guards_of(before) == guards_of(after));
      const auto& forwards = std::get<ChangeForwards>(steps->front());
      auto rules = as_set(ruleset_of(before).of(Table::nat));
      for (const auto& rule : as_set(forwards.from)) REQUIRE(rules.erase(rule) == 1);
      rules.merge(as_set(forwards.to));
      REQUIRE(rules == as_set(ruleset_of(after).of(Table::nat)));

      const auto closed_by = [](const std::vector<Step>& all_steps) {
        std::set<std::tuple<Ipv4, std::optional<Ipv4>, std::uint16_t>> closed;
        for (const auto& step : all_steps)
          if (const auto* const cut = std::get_if<CutFlows>(&step))
            for (const auto& forward : cut->closed)
              closed.emplace(forward.gateway, forward.source, forward.listen);
        return closed;
      };
      REQUIRE(closed_by(*steps) == closed_by(transition(before, after)));
    }
  }
  CHECK(small > 2000);
}

TEST_CASE("what concerns more than forwards is no small change") {
  const Snapshot one{{bridge(5)}, {lease("0a", 5, 80)}};
  auto renamed = one;
  renamed.bridges[0].name = "br9";
  auto second = lease("0b", 5, 81);
  second.gateways.push_back(Ipv4{0x0a000901});
  auto wider = one;
  wider.leases.push_back(second);
  Snapshot two_bridges{{bridge(5), bridge(6)}, {lease("0a", 5, 80), lease("0c", 6, 80)}};
  CHECK_FALSE(small_transition(one, one));
  CHECK_FALSE(small_transition(one, renamed));
  CHECK_FALSE(small_transition(one, wider));
  CHECK_FALSE(small_transition(wider, one));
  CHECK_FALSE(small_transition(one, two_bridges));
  CHECK_FALSE(small_transition({}, one));
  CHECK_FALSE(small_transition(one, {}));
}

TEST_CASE("flows through a closed forward are cut, others are not") {
  const firewall::Forward closed{"br0", Ipv4{1}, {}, Protocol::tcp, 80, 8080, "0a"};
  const firewall::Forward open{"br0", Ipv4{1}, Ipv4{9}, Protocol::tcp, 80, 8080, "0b"};
  const auto flow = [](Ipv4 source, std::uint16_t dialled, std::uint16_t host,
                       Protocol protocol = Protocol::tcp) {
    return netlink::Flow{.protocol = protocol,
                         .source = {source, 40000},
                         .destination = {Ipv4{1}, dialled},
                         .reply_source = {kLoopback, host},
                         .reply_destination = {source, 40000}};
  };
  const CutFlows cut{{closed}, {open}};
  const std::vector<netlink::Flow> flows{
      flow(Ipv4{8}, 80, 8080),                // through the closed forward
      flow(Ipv4{9}, 80, 8080),                // the open forward permits it too
      flow(Ipv4{8}, 81, 8080),                // another port
      flow(Ipv4{8}, 80, 8081),                // a foreign DNAT
      flow(Ipv4{8}, 80, 8080, Protocol::udp)  // another protocol
  };
  CHECK(flows_to_cut(flows, cut) == std::vector{flows[0]});
}

TEST_CASE("forwards lead to the port's address, and flows are cut by it") {
  auto named = lease("a", 1, 8088);
  named.ports = {HostPort::parse("127.0.0.2:8088")};
  const Snapshot before{{bridge(1)}, {named}};
  const auto forwards = forwards_of(before);
  REQUIRE_FALSE(forwards.empty());
  CHECK(forwards.front().service == Ipv4{0x7f000002});
  const auto rules = ruleset_of(before);
  CHECK(firewall::to_iptables(rules.of(Table::nat).rules.front())
            .ends_with("-j DNAT --to-destination 127.0.0.2:8088"));
  auto plain = named;
  plain.ports = {HostPort::same(8088)};
  const auto steps = transition(before, {{bridge(1)}, {plain}});
  const auto cut =
      std::ranges::find_if(steps, [](const Step& step) { return std::holds_alternative<CutFlows>(step); });
  REQUIRE(cut != steps.end());
  netlink::Flow flow{};
  flow.source = {Ipv4{8}, 40000};
  flow.destination = {named.gateways.front(), 8088};
  flow.reply_source = {Ipv4{0x7f000002}, 8088};
  auto other = flow;
  other.reply_source.address = kLoopback;
  CHECK(flows_to_cut({flow, other}, std::get<CutFlows>(*cut)) == std::vector{flow});
}

TEST_CASE("a lease that is narrowed keeps its connections and cuts those of others") {
  auto wide = lease("a", 1, 8088);
  wide.mac = Mac::parse("02:00:00:00:00:07");
  auto narrow = wide;
  narrow.sources = {Ipv4{0x0a000105}};
  const Snapshot before{{bridge(1)}, {wide}};
  const Snapshot after{{bridge(1)}, {narrow}};
  const auto steps = transition(before, after);
  const auto cut =
      std::ranges::find_if(steps, [](const Step& step) { return std::holds_alternative<CutFlows>(step); });
  REQUIRE(cut != steps.end());
  const auto flow = [&](std::uint32_t source) {
    netlink::Flow out{};
    out.protocol = Protocol::tcp;
    out.source = {Ipv4{source}, 40000};
    out.destination = {wide.gateways.front(), 8088};
    out.reply_source = {kLoopback, 8088};
    return out;
  };
  const auto gone = flows_to_cut({flow(0x0a000105), flow(0x0a000106)}, std::get<CutFlows>(*cut));
  REQUIRE(gone.size() == 1);
  CHECK(gone.front().source.address == Ipv4{0x0a000106});
}
