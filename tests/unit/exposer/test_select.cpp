// The choice of a path, and what is said about it.
#include "exposer/select.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("the usable one is taken and said so") {
  const auto choice = choose(Path::automatic, {{Path::native, {.usable = true, .reasons = {}}}});
  CHECK(choice.path == Path::native);
  CHECK(choice.reasons == std::vector<std::string>{"native: the first that is usable here"});
}

TEST_CASE("what is passed over is said with its reasons") {
  const auto choice =
      choose(Path::native, {{Path::native, {.usable = false, .reasons = {"no root", "no bridge"}}}});
  CHECK_FALSE(choice.path);
  CHECK(choice.reasons == std::vector<std::string>{"native: no root", "native: no bridge"});
}
