// Which listeners an IPv4 packet reaches, and their display.
#include "netlink/sock_diag.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

using hostnet::Ipv4;
using hostnet::netlink::Listener;

namespace {

Listener on(const char* address, bool v6only = false) {
  Listener listener{.port = 80, .v6only = v6only};
  listener.ipv6 = ::inet_pton(AF_INET, address, listener.address.data()) != 1;
  if (listener.ipv6) REQUIRE(::inet_pton(AF_INET6, address, listener.address.data()) == 1);
  return listener;
}

const Ipv4 loopback = *Ipv4::parse("127.0.0.1");
const Ipv4 gateway = *Ipv4::parse("172.17.0.1");

}  // namespace

TEST_CASE("a listener serves its own address and nothing else") {
  CHECK(on("127.0.0.1").serves(loopback));
  CHECK_FALSE(on("127.0.0.1").serves(gateway));
  CHECK_FALSE(on("127.0.0.2").serves(loopback));
  CHECK_FALSE(on("::1").serves(loopback));
}

TEST_CASE("a wildcard serves every address; :: only without IPV6_V6ONLY") {
  CHECK(on("0.0.0.0").serves(loopback));
  CHECK(on("0.0.0.0").serves(gateway));
  CHECK(on("::").serves(loopback));
  CHECK_FALSE(on("::", true).serves(loopback));
}

TEST_CASE("an IPv4-mapped address counts as the IPv4 address") {
  CHECK(on("::ffff:127.0.0.1").serves(loopback));
  CHECK(on("::ffff:0.0.0.0").serves(loopback));
  CHECK_FALSE(on("::ffff:127.0.0.1").serves(gateway));
  CHECK_FALSE(on("fe80::7f00:1").serves(loopback));
  CHECK_FALSE(on("::127.0.0.1").serves(loopback));
}

TEST_CASE("listeners are shown in the usual address notation") {
  CHECK(on("127.0.0.1").to_string() == "127.0.0.1:80");
  CHECK(on("::1").to_string() == "[::1]:80");
  CHECK(on("::").to_string() == "[::]:80");
}
