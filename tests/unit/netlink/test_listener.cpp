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

TEST_CASE("only ::1 and :: serve IPv6's loopback address") {
  CHECK(on("::1").serves_ipv6_loopback());
  CHECK(on("::").serves_ipv6_loopback());
  CHECK(on("::", true).serves_ipv6_loopback());
  CHECK_FALSE(on("::2").serves_ipv6_loopback());
  CHECK_FALSE(on("fe80::1").serves_ipv6_loopback());
  CHECK_FALSE(on("0.0.0.0").serves_ipv6_loopback());
}

TEST_CASE("a listener's address as one value, of either family") {
  CHECK(on("127.0.0.1").ip() == hostnet::Ip(loopback));
  CHECK(on("::1").ip() == hostnet::Ip::parse("::1"));
}

TEST_CASE("listeners are shown in the usual address notation") {
  CHECK(on("127.0.0.1").to_string() == "127.0.0.1:80");
  CHECK(on("::1").to_string() == "[::1]:80");
  CHECK(on("::").to_string() == "[::]:80");
  auto bound = on("127.0.0.1");
  bound.device = hostnet::netlink::kLoopbackDevice;
  CHECK(bound.to_string() == "127.0.0.1%lo:80");
  bound.device = 7;
  CHECK(bound.to_string() == "127.0.0.1%7:80");
  bound = on("fe80::1");
  bound.device = 7;
  CHECK(bound.to_string() == "[fe80::1%7]:80");
}
