// Which firewall is chosen, and why.
#include "firewall/backend.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace hostnet;
using namespace hostnet::firewall;

TEST_CASE("nftables is chosen if the kernel and libnftables have it and no legacy nat is in use") {
  CHECK(choose(FirewallFacts{.nf_tables = true, .libnftables = true, .legacy_nat = false}).kind ==
        Firewall::nftables);
  for (const auto& facts : {FirewallFacts{.nf_tables = false, .libnftables = true, .legacy_nat = false},
                            FirewallFacts{.nf_tables = true, .libnftables = false, .legacy_nat = false},
                            FirewallFacts{.nf_tables = true, .libnftables = true, .legacy_nat = true}}) {
    const auto choice = choose(facts);
    CHECK(choice.kind == Firewall::iptables);
    CHECK_FALSE(choice.reason.empty());
  }
}

TEST_CASE("the environment counts only without an explicit choice") {
  ::setenv("TC_HOSTNET_FIREWALL", "nftables", 1);
  CHECK(wish(Firewall::automatic) == Firewall::nftables);
  CHECK(wish(Firewall::iptables) == Firewall::iptables);
  CHECK(choose(Firewall::iptables).kind == Firewall::iptables);
  ::setenv("TC_HOSTNET_FIREWALL", "pf", 1);
  CHECK(test::error_of([] { wish(Firewall::automatic); }).code() == Errc::invalid_argument);
  CHECK(wish(Firewall::nftables) == Firewall::nftables);
  ::unsetenv("TC_HOSTNET_FIREWALL");
  CHECK(wish(Firewall::automatic) == Firewall::automatic);
}

TEST_CASE("names survive a round trip") {
  for (const auto kind : {Firewall::automatic, Firewall::nftables, Firewall::iptables})
    CHECK(parse_firewall(to_string(kind)) == kind);
  CHECK_FALSE(parse_firewall("legacy"));
}
