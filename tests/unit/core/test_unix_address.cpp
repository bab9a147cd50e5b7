// Which paths are addresses.
#include "core/unix_address.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;

TEST_CASE("a path as the address of a Unix socket") {
  const auto address = unix_address("/run/docker.sock");
  REQUIRE(address);
  CHECK(address->sun_family == AF_UNIX);
  CHECK(std::string(address->sun_path) == "/run/docker.sock");
  CHECK(as_sockaddr(*address)->sa_family == AF_UNIX);
  CHECK_FALSE(unix_address(""));
  const std::string longest(kLongestUnixPath, 'x');
  REQUIRE(unix_address(longest));
  CHECK(std::string(unix_address(longest)->sun_path) == longest);  // its final zero is there
  CHECK_FALSE(unix_address(longest + "x"));
}
