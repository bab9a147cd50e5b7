// Lists of addresses.
#include "netlink/link.hpp"
#include "support/addresses.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::netlink;
using test::ip;

TEST_CASE("an address under two prefixes is one address") {
  const std::vector<Address> addresses{{.ifindex = 1, .address = ip("192.0.2.1"), .prefix = 24},
                                       {.ifindex = 1, .address = ip("192.0.2.2"), .prefix = 24},
                                       {.ifindex = 1, .address = ip("192.0.2.1"), .prefix = 32}};
  CHECK(distinct(addresses) == std::vector{ip("192.0.2.1"), ip("192.0.2.2")});
  CHECK(has_address(addresses, ip("192.0.2.2")));
  CHECK_FALSE(has_address(addresses, ip("192.0.2.3")));
  CHECK(distinct({}).empty());
  CHECK_FALSE(has_address({}, ip("192.0.2.1")));
}
