// Which interfaces may be exposed to.
#include "daemon/network.hpp"
#include "support/addresses.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::daemon;
using test::ip;

namespace {

NetworkFacts bridge() {
  NetworkFacts facts;
  netlink::Link link;
  link.ifindex = 7;
  link.name = "br-1";
  link.kind = "bridge";
  facts.link = link;
  facts.addresses = {ip("10.1.0.1"), ip("10.2.0.1")};
  facts.prefixes = {16, 24};
  facts.bridge_addresses = {ip("10.1.0.1"), ip("10.2.0.1"), ip("172.17.0.1")};
  return facts;
}

Request request() {
  Request request;
  request.ifindex = 7;
  return request;
}

const std::vector<std::string> kAllowed{"docker0", "br-*"};

std::string refusal(const NetworkFacts& facts, const Request& wanted = request()) {
  const auto error = test::error_of([&] { judge(facts, wanted, kAllowed); });
  CHECK(error.code() == Errc::not_found);
  return error.what();
}

}  // namespace

TEST_CASE("a valid bridge") {
  auto network = judge(bridge(), request(), kAllowed);
  CHECK(network.interface == "br-1");
  CHECK(network.gateways == std::vector{ip("10.1.0.1")});
  auto wanted = request();
  wanted.gateway = ip("10.2.0.1");
  wanted.host_gateway = ip("172.17.0.1");
  wanted.sources = {ip("10.1.255.254"), ip("10.2.0.7")};
  network = judge(bridge(), wanted, kAllowed);
  CHECK(network.gateways == std::vector{ip("10.2.0.1"), ip("172.17.0.1")});
  wanted.host_gateway = wanted.gateway;
  CHECK(judge(bridge(), wanted, kAllowed).gateways.size() == 1);
}

TEST_CASE("each fault has its message") {
  CHECK(refusal(NetworkFacts{}).find("no interface") != std::string::npos);
  auto facts = bridge();
  facts.link->kind = "veth";
  CHECK(refusal(facts).find("not a bridge") != std::string::npos);
  facts = bridge();
  facts.link->name = "lan0";
  CHECK(refusal(facts).find("not among") != std::string::npos);
  facts = bridge();
  facts.link->name = "br-<b>";
  CHECK(refusal(facts).find("unacceptable") != std::string::npos);
  facts = bridge();
  facts.foreign_ports = {"eth0"};
  CHECK(refusal(facts).find("eth0") != std::string::npos);
  facts = bridge();
  facts.carries_default_route = true;
  CHECK(refusal(facts).find("default route") != std::string::npos);
  facts = bridge();
  facts.addresses.clear();
  facts.prefixes.clear();
  CHECK(refusal(facts).find("no IPv4 address") != std::string::npos);
}

TEST_CASE("the caller's claims are checked") {
  auto wanted = request();
  wanted.ifname = "br-2";
  CHECK(refusal(bridge(), wanted).find("another network namespace") != std::string::npos);
  wanted = request();
  wanted.gateway = ip("172.17.0.1");
  CHECK(refusal(bridge(), wanted).find("not an address of br-1") != std::string::npos);
  wanted = request();
  wanted.host_gateway = ip("192.0.2.1");
  CHECK(refusal(bridge(), wanted).find("not an address of a bridge") != std::string::npos);
  for (const auto* const source : {"10.3.0.1", "10.2.1.7", "10.1.0.1", "127.0.0.1", "0.0.0.0"}) {
    wanted = request();
    wanted.sources = {ip("10.1.0.9"), ip(source)};
    CHECK(refusal(bridge(), wanted).find(source) != std::string::npos);
  }
}
