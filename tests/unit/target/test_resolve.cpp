// The parts of target look-up that need no kernel and no engine.
#include "hostnet/error.hpp"
#include "target/attached.hpp"
#include "target/resolve.hpp"

#include <doctest/doctest.h>

#include <string>

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

TEST_CASE("a control group that names other containers is not of this one") {
  const std::string own(64, 'a');
  const std::string other(64, 'b');
  CHECK_FALSE(names_another_container("0::/system.slice/docker-" + own + ".scope\n", own, ""));
  CHECK_FALSE(
      names_another_container("0::/docker/" + other + "/docker/" + own + "\n", own, ""));  // in another
  CHECK_FALSE(names_another_container("0::/user.slice/user-1000.slice\n", own, ""));
  CHECK_FALSE(names_another_container("", own, ""));
  CHECK(names_another_container("0::/docker/" + other + "\n", own, ""));
  CHECK(names_another_container("12:pids:/libpod_parent/libpod-" + other + "/ctr\n", own, ""));
  CHECK(names_another_container("0::/docker/" + other + "\n", "", ""));
  // All of this is inside of that one.
  CHECK_FALSE(
      names_another_container("0::/docker/" + other + "/app\n", own, "0::/docker/" + other + "/us\n"));
}
