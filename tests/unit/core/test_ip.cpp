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

TEST_CASE("a prefix and what is in it") {
  const auto in = [](const char* subnet, const char* address) {
    return Subnet::parse(subnet).value().contains(Ip::parse(address).value());
  };
  CHECK(in("172.17.0.0/16", "172.17.255.1"));
  CHECK_FALSE(in("172.17.0.0/16", "172.18.0.1"));
  CHECK(in("198.18.4.0/22", "198.18.7.255"));
  CHECK_FALSE(in("198.18.4.0/22", "198.18.8.0"));
  CHECK(in("10.0.0.1/32", "10.0.0.1"));
  CHECK_FALSE(in("10.0.0.1/32", "10.0.0.2"));
  CHECK(in("0.0.0.0/0", "10.0.0.1"));
  CHECK_FALSE(in("0.0.0.0/0", "fd00::1"));
  CHECK(in("fd00:1::/32", "fd00:1:2::3"));
  CHECK_FALSE(in("fd00:1::/32", "fd00:2::3"));
  CHECK_FALSE(in("fd00::/8", "10.0.0.1"));
  for (const auto* text : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8", "/8"})
    CHECK_MESSAGE(!Subnet::parse(text), text);
}
