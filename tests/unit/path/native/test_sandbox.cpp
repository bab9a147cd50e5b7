// The choice of addresses for a sandbox.
#include "path/native/sandbox.hpp"
#include "support/addresses.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;
using test::ip;

namespace {}  // namespace

TEST_CASE("the highest /30 when nothing is taken, the next when it is") {
  const auto first = free_net({}, {});
  REQUIRE(first);
  CHECK(first->gateway == ip("198.19.255.253"));
  CHECK(first->address == ip("198.19.255.254"));
  const auto second = free_net({}, {{.ifindex = 1, .address = first->gateway, .prefix = 30}});
  REQUIRE(second);
  CHECK(second->gateway == ip("198.19.255.249"));
}

TEST_CASE("routes that cover it count, the default route does not") {
  CHECK(free_net({{.destination = ip("0.0.0.0"), .prefix = 0}}, {})->gateway == ip("198.19.255.253"));
  CHECK(free_net({{.destination = ip("198.19.0.0"), .prefix = 16}}, {})->gateway == ip("198.18.255.253"));
  CHECK_FALSE(free_net({{.destination = ip("198.18.0.0"), .prefix = 15}}, {}));
  CHECK(free_net({{.destination = ip("198.19.255.254"), .prefix = 32}}, {})->gateway == ip("198.19.255.249"));
}
