// Who is told to run it as root.
#include "core/advice.hpp"

#include <doctest/doctest.h>

#include <string>

using hostnet::advice_for;

TEST_CASE("root is not told to run it as root") {
  const std::string rights = "root has not all rights here, as in a container";
  CHECK(advice_for(0, "run it as root: sudo tc-hostnet doctor").starts_with(rights));
  CHECK(advice_for(0, "for a complete check run it as root: sudo tc-hostnet doctor").starts_with(rights));
  CHECK(advice_for(0, "run it as root, or join the group that owns the socket, docker") ==
        "join the group that owns the socket, docker");
  CHECK(advice_for(0, "run it as root (sudo tc-hostnet doctor), or install the program that is missing") ==
        "install the program that is missing");
  CHECK(advice_for(0, "install tc-hostnetd, or run it as root: sudo tc-hostnet …") == "install tc-hostnetd");
  CHECK(advice_for(0, "start the engine").starts_with("start the engine"));
  CHECK(advice_for(0, "").empty());
}

TEST_CASE("everyone else is") {
  for (const std::string hint :
       {"run it as root: sudo tc-hostnet doctor", "run it as root, or join the group", ""})
    CHECK(advice_for(1000, hint) == hint);
}
