// The endpoint through which a container reaches its host, from texts and descriptions.
#include "support/expect_error.hpp"
#include "target/endpoint.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("the default gateway of a routing table") {
  constexpr const char* head =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
  const std::string table = std::string(head) +
                            "eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
                            "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
  CHECK(default_gateway(table) == Ipv4::parse("172.18.0.1"));
  CHECK_FALSE(default_gateway(head));
  CHECK_FALSE(default_gateway(""));
  CHECK_FALSE(default_gateway("eth0\t00000000\tnonsense\t"));
  CHECK_FALSE(default_gateway("eth0\t00000000\t00000000\t0001"));
}

namespace {

std::string names(const std::vector<engine::Endpoint>& endpoints) {
  std::string out;
  for (const auto& endpoint : endpoints) out += endpoint.network;
  return out;
}

engine::Endpoint on(std::string network, std::uint32_t address, std::uint32_t gateway) {
  engine::Endpoint out;
  out.network = std::move(network);
  out.address = Ipv4{address};
  out.gateway = Ipv4{gateway};
  return out;
}

}  // namespace

TEST_CASE("the default route's network is tried first, then by priority, then by name") {
  engine::Container container;
  container.endpoints = {on("a", 1, 10), on("b", 2, 20), on("c", 3, 30)};
  CHECK(names(in_order(container, {})) == "abc");
  CHECK(names(in_order(container, Ipv4{20})) == "bac");
  CHECK(names(in_order(container, Ipv4{99})) == "abc");
  container.endpoints[2].priority = 7;
  CHECK(names(in_order(container, {})) == "cab");
  container.endpoints[0].priority = -1;
  CHECK(names(in_order(container, {})) == "cba");
  CHECK(names(in_order(container, Ipv4{10})) == "acb");
}

TEST_CASE("networks without an address do not count; one of either family is enough") {
  engine::Container container;
  container.name = "app";
  container.endpoints = {on("a", 1, 10)};
  container.endpoints[0].address.reset();
  CHECK(in_order(container, {}).empty());
  CHECK(test::error_of([&] { endpoints_of(container, false); }).code() == Errc::not_found);
  container.endpoints[0].address6 = Ip::parse("fd00::2");
  CHECK(names(endpoints_of(container, false)) == "a");
  CHECK(test::error_of([&] { endpoint_of(container, false); }).code() == Errc::not_found);
  container.endpoints.push_back(on("b", 2, 20));
  CHECK(endpoint_of(container, false).network == "b");
}

TEST_CASE("each network with the reason against it") {
  engine::Container container;
  container.name = "app";
  const std::vector<Against> reasons{{"ingress", "no container can join it"}, {"mv", "it is no bridge"}};
  CHECK(reasons_against(container, reasons) ==
        "container app: network ingress: no container can join it; network mv: it is no bridge");
}
