// What is said if no network of a compose project can be served.
#include "cli/unserved.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using hostnet::cli::Unserved;

TEST_CASE("each network with its reason, and what all say once") {
  Unserved alike("shop");
  alike.add("back", Error(Errc::not_listening, "nothing listens", "start it"));
  CHECK(std::string(alike.error().what()) == "nothing listens");
  alike.add("front", Error(Errc::not_listening, "nothing listens", "start it"));
  CHECK(std::string(alike.error().what()) == "nothing listens");
  CHECK(alike.error().hint() == "start it");

  Unserved unlike("shop");
  unlike.add("back", Error(Errc::conflict, "in use", "release it"));
  unlike.add("lan", Error(Errc::no_path, "no way"));
  const auto error = unlike.error();
  CHECK(std::string(error.what()) ==
        "no network of compose project shop can be served: back: in use; lan: no way");
  CHECK(error.code() == Errc::no_path);
  CHECK(error.hint() == "release it");
  CHECK_THROWS_AS(unlike.tell(false), Error);
  unlike.tell(true);
  Unserved("shop").tell(false);
}
