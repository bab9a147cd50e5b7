// The parts of target look-up that need no kernel and no engine.
#include "exposer/resolve.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("interface names") {
  for (const char* name : {"br0", "docker0", "br-0123456789ab", "a.b:c@d_e", "fifteen-letters"})
    CHECK_MESSAGE(!interface_name_fault(name), name);
  for (const char* name : {"", ".", "..", "-x", "sixteen-letters!", "sixteen-letters-", "a b", "a/b", "a;b",
                           "$(id)", "a\nb", "br0`"})
    CHECK_MESSAGE(interface_name_fault(name), name);
}

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

TEST_CASE("network modes without a bridge are refused") {
  for (const char* mode : {"host", "none", "container:abc"}) {
    engine::Container container;
    container.name = "api";
    container.network_mode = mode;
    try {
      check_network_mode(container);
      FAIL("accepted ", mode);
    } catch (const Error& error) {
      CHECK(error.code() == Errc::invalid_argument);
      CHECK_FALSE(error.hint().empty());
    }
  }
  engine::Container container;
  container.network_mode = "host";
  const auto said_of = [&](bool own_loopback) -> std::string {
    try {
      check_network_mode(container, own_loopback);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(said_of(false).find("reaches 127.0.0.1 as it is") != std::string::npos);
  CHECK(said_of(true).find("is not known to be this one") != std::string::npos);
  for (const char* mode : {"bridge", "default", "web", "container", "hosts"}) {
    container.network_mode = mode;
    CHECK_NOTHROW(check_network_mode(container));
  }
}
