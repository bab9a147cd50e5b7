// The choice of a path, and what is said about it.
#include "path/select.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("the usable one is taken and said so") {
  const auto choice = choose(Path::automatic, {{Path::native, {.usable = true, .reasons = {}}}});
  CHECK(choice.path == Path::native);
  CHECK(choice.reasons == std::vector<std::string>{"native: the first that is usable here"});
}

TEST_CASE("ssh serves where native cannot, with the reason") {
  const std::vector<Candidate> candidates{{Path::native, {.usable = false, .reasons = {"no root"}}},
                                          {Path::ssh, {.usable = true, .reasons = {}}}};
  const auto choice = choose(Path::automatic, candidates);
  CHECK(choice.path == Path::ssh);
  CHECK(choice.reasons == std::vector<std::string>{"native: no root", "ssh: the first that is usable here"});
  CHECK_FALSE(choose(Path::native, candidates).path);
  CHECK(choose(Path::ssh, candidates).reasons == std::vector<std::string>{"ssh: as asked for"});
}

TEST_CASE("what is passed over is said with its reasons") {
  const auto choice =
      choose(Path::native, {{Path::native, {.usable = false, .reasons = {"no root", "no bridge"}}}});
  CHECK_FALSE(choice.path);
  CHECK(choice.reasons == std::vector<std::string>{"native: no root", "native: no bridge"});
}
