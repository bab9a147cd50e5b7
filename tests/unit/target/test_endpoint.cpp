// The endpoint through which a container reaches its host, from texts and descriptions.
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

TEST_CASE("the endpoint that carries the default route counts, else the first with an address") {
  engine::Container container;
  container.endpoints = {{.network = "a", .address = Ipv4{1}, .gateway = Ipv4{10}},
                         {.network = "b", .address = Ipv4{2}, .gateway = Ipv4{20}},
                         {.network = "c"}};
  CHECK(primary_endpoint(container, Ipv4{20})->network == "b");
  CHECK(primary_endpoint(container, {})->network == "a");
  CHECK(primary_endpoint(container, Ipv4{99})->network == "a");
  container.endpoints = {{.network = "c"}};
  CHECK(primary_endpoint(container, {}) == nullptr);
}
