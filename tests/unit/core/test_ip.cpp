// Addresses of either family.
#include "core/ip.hpp"

#include <doctest/doctest.h>

using namespace hostnet;

TEST_CASE("text of both families comes back as it is usually written") {
  for (const auto* text : {"10.0.0.1", "0.0.0.0", "::1", "fd00:77::2", "2001:db8::a:0:0:1"}) {
    const auto address = Ip::parse(text);
    REQUIRE_MESSAGE(address, text);
    CHECK(address->to_string() == text);
    CHECK(address->ipv4() == Ipv4::parse(text));
  }
  CHECK(Ip::parse("FD00:0077:0::2") == Ip::parse("fd00:77::2"));
  CHECK(Ip(Ipv4{0x0a000001}) == Ip::parse("10.0.0.1"));
}

TEST_CASE("what is no address, and what no host has as its own") {
  for (const auto* text :
       {"", "x", "10.0.0", "010.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1", "fd00::/64", "::1 "})
    CHECK_MESSAGE(!Ip::parse(text), text);
}

TEST_CASE("an endpoint has brackets around IPv6 only") {
  CHECK(IpEndpoint(Ip::parse("fd00::1").value(), 22).to_string() == "[fd00::1]:22");
  CHECK(IpEndpoint(Ip::parse("10.0.0.1").value(), 22).to_string() == "10.0.0.1:22");
}
