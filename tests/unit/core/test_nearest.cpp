// Which name was probably meant, and lists that begin with it.
#include "core/nearest.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;

TEST_CASE("the distance between two words") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("web", "web") == 0);
  CHECK(edit_distance("web", "WEB") == 0);
  CHECK(edit_distance("", "web") == 3);
  CHECK(edit_distance("prot", "port") == 1);
  CHECK(edit_distance("exposes", "expose") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance(std::string(100'000, 'a'), std::string(100'000, 'b')) == 64);
}

TEST_CASE("the name that was meant") {
  const std::vector<std::string> names{"expose", "release", "run", "--port", "--no-alias"};
  CHECK(nearest("exposes", names) == "expose");
  CHECK(nearest("relaese", names) == "release");
  CHECK(nearest("--prot", names) == "--port");
  CHECK(nearest("--no_alias", names) == "--no-alias");
  CHECK(nearest("rel", names) == "release");  // a beginning
  CHECK(nearest("rnu", names) == "run");
  CHECK_FALSE(nearest("frobnicate", names));
  CHECK_FALSE(nearest("", names));
  CHECK_FALSE(nearest("web", {}));
}

TEST_CASE("a list begins with the nearest and is bounded") {
  CHECK(nearest_first("wbe", {"db", "web", "api"}) == "'web', 'db' and 'api'");
  CHECK(nearest_first("b", {"a", "b", "c", "d"}, 2) == "'b', 'a' and 2 more");
  CHECK(nearest_first("x", {"one", "one"}) == "'one'");
  CHECK(nearest_first("x", {}).empty());
}
