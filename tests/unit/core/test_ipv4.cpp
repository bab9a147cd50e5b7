// IPv4 text, byte order and prefixes.
#include "core/ipv4.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

using namespace hostnet;

TEST_CASE("dotted quads read and print") {
  CHECK(Ipv4::parse("127.0.0.1") == Ipv4{0x7f000001});
  CHECK(Ipv4::parse("255.255.255.255")->to_string() == "255.255.255.255");
  CHECK(Ipv4::parse("0.0.0.0")->is_any());
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "1..3.4", "a.b.c.d", "1.2.3.-4"})
    CHECK_MESSAGE(!Ipv4::parse(text), text);
}

TEST_CASE("network byte order matches inet_pton") {
  in_addr address{};
  REQUIRE(inet_pton(AF_INET, "10.1.2.3", &address) == 1);
  CHECK(Ipv4::parse("10.1.2.3")->network() == address.s_addr);
  CHECK(Ipv4::from_network(address.s_addr).to_string() == "10.1.2.3");
}

TEST_CASE("prefixes") {
  const auto net = *Ipv4::parse("172.18.0.0");
  CHECK(contains(net, 16, *Ipv4::parse("172.18.255.1")));
  CHECK_FALSE(contains(net, 16, *Ipv4::parse("172.19.0.1")));
  CHECK(contains(net, 0, *Ipv4::parse("8.8.8.8")));
  CHECK(contains(net, 32, net));
  CHECK(Ipv4::parse("127.9.9.9")->is_loopback());
}

TEST_CASE("an endpoint prints with its port") {
  CHECK(Endpoint{*Ipv4::parse("1.2.3.4"), 80}.to_string() == "1.2.3.4:80");
}
