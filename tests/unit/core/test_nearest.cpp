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

TEST_CASE("an unknown name is answered with the known ones, in bounded printable text") {
  const auto error = no_such("network", "wbe", {"db", "web"}, "see them");
  CHECK(error.code() == Errc::not_found);
  CHECK(std::string(error.what()) == "there is no network 'wbe'; there are 'web' and 'db'");
  CHECK(error.hint() == "did you mean 'web'?");
  CHECK(std::string(no_such("lease", "x", {"0badf00d"}, "see").what()) ==
        "there is no lease 'x'; there is only '0badf00d'");
  CHECK(std::string(no_such("lease", "x", {}, "see").what()) == "there is no lease 'x', nor any other");
  CHECK(no_such("lease", "x", {"0badf00d"}, "see").hint() == "see");
  std::vector<std::string> many(5000, std::string(70'000, 'x') + "\n\x1b[31m");
  for (std::size_t i = 0; i < many.size(); ++i) many[i].insert(0, std::to_string(i) + "\x1b");
  const std::string said = no_such("container", std::string(100'000, '\n'), many, "").what();
  CHECK(said.size() < 3000);
  CHECK(said.find('\n') == std::string::npos);
  CHECK(said.find('\x1b') == std::string::npos);
  CHECK(said.ends_with("4990 more"));
}
