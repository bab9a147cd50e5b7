// Which container a control group belongs to.
#include "target/attached.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

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
  // All of this runs in that container.
  CHECK_FALSE(
      names_another_container("0::/docker/" + other + "/app\n", own, "0::/docker/" + other + "/us\n"));
}
