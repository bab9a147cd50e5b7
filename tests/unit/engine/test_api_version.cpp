// The version of the Engine API: the engine's, the newest reviewed, the user's.
#include "engine/api_version.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using engine::api_version;

TEST_CASE("the engine's newest version, but none newer than was reviewed") {
  CHECK(api_version("1.41", "") == "1.41");
  CHECK(api_version("1.9", "") == "1.9");
  CHECK(api_version(engine::kNewestReviewed, "") == engine::kNewestReviewed);
  CHECK(api_version("1.999", "") == engine::kNewestReviewed);
  CHECK(api_version("2.0", "") == engine::kNewestReviewed);
  CHECK(api_version("", "").empty());
}

TEST_CASE("none older than the engine has") {
  CHECK(api_version("1.80", "", "1.44") == engine::kNewestReviewed);
  CHECK(api_version("1.80", "", "1.70") == "1.70");
  CHECK(api_version("1.80", "", "nonsense") == engine::kNewestReviewed);
  CHECK(api_version("1.52", "1.44", "1.44") == "1.44");
  CHECK(test::error_of([] { static_cast<void>(api_version("1.52", "1.43", "1.44")); }).code() ==
        Errc::invalid_argument);
}

TEST_CASE("a version that the user wants") {
  CHECK(api_version("1.54", "1.44") == "1.44");
  CHECK(api_version("1.999", "1.99") == "1.99");
  CHECK(api_version("", "1.44") == "1.44");
  for (const char* const wanted :
       {"1.42", "2.0", "1", "1.", ".41", "v1.41", "1.41.2", "-1.41", "1.41/containers", "latest"}) {
    CAPTURE(wanted);
    CHECK(test::error_of([&] { static_cast<void>(api_version("1.41", wanted)); }).code() ==
          Errc::invalid_argument);
  }
}
