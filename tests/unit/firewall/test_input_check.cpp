// Which native chain is reported to drop our traffic, and with which remedy.
#include "firewall/input_check.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using firewall::find_blocker;
using netlink::NftChain;
using netlink::NftRule;

namespace {

NftChain input(bool drop, const char* table = "filter", const char* name = "input",
               const char* family = "inet") {
  return {.family = family,
          .table = table,
          .name = name,
          .base = true,
          .type = "filter",
          .hook = 1,
          .priority = 0,
          .drop_policy = drop,
          .use = 0};
}

auto with(std::vector<NftRule> rules) {
  return [rules](const NftChain&) { return rules; };
}

}  // namespace

TEST_CASE("a native policy-drop chain is named with the line that opens it") {
  const auto blocker = find_blocker({input(true)}, with({}), "br0");
  REQUIRE(blocker);
  CHECK(blocker->chain == "inet filter input");
  CHECK(blocker->remedy == "nft insert rule inet filter input iifname \"br0\" ct status dnat accept");
}

TEST_CASE("chains that cannot drop our traffic are skipped") {
  CHECK_FALSE(find_blocker({}, with({}), "br0"));
  CHECK_FALSE(find_blocker({input(false)}, with({}), "br0"));
  CHECK_FALSE(
      find_blocker({input(true, "filter", "INPUT", "ip")}, with({}), "br0"));  // iptables-nft's: we edit it
  CHECK(find_blocker({input(true, "mine", "INPUT", "ip")}, with({}), "br0"));  // not iptables-nft's
  CHECK(find_blocker({input(true, "filter", "input", "ip")}, with({}), "br0"));
  CHECK_FALSE(
      firewall::is_iptables_nft_input({.family = "ip", .table = "filter", .name = "INPUT"}));  // no hook
  auto forward = input(true);
  forward.hook = 2;
  CHECK_FALSE(find_blocker({forward}, with({}), "br0"));
  auto regular = input(true);
  regular.base = false;
  CHECK_FALSE(find_blocker({regular}, with({}), "br0"));
}

TEST_CASE("an accept that certainly covers us opens the chain") {
  NftRule everything{.accepts = true};
  NftRule dnat{.accepts = true, .wants_dnat_status = true};
  NftRule ours{.accepts = true, .wants_dnat_status = true, .iifname = "br0"};
  NftRule wildcard{.accepts = true, .iifname = "br*"};
  for (const auto& rule : {everything, dnat, ours, wildcard})
    CHECK_FALSE(find_blocker({input(true)}, with({rule}), "br0"));
}

TEST_CASE("an accept that may not cover us does not open it") {
  NftRule other{.accepts = true, .iifname = "lo"};
  NftRule longer{.accepts = true, .iifname = "br01"};
  NftRule ssh{.accepts = true, .other_matches = 2};
  NftRule dropping{.wants_dnat_status = true};
  for (const auto& rule : {other, longer, ssh, dropping})
    CHECK(find_blocker({input(true)}, with({rule}), "br0"));
}
