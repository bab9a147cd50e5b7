// Failures of several steps, collected and raised together.
#include "core/failures.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace hostnet;

namespace {

std::string raised(const Failures& failures, std::string_view what = {}) {
  try {
    failures.raise(what, "the next step");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::failure);
    CHECK(error.hint() == "the next step");
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("every step runs, and all failures are reported together") {
  Failures failures;
  int done = 0;
  failures.run([&] { ++done; });
  CHECK(failures.empty());
  CHECK(raised(failures, "release").empty());
  failures.run([&] {
    ++done;
    throw Error(Errc::not_found, "one is gone");
  });
  failures.run(
      [&] {
        ++done;
        throw std::runtime_error("two is stuck");
      },
      "step 2");
  failures.run([&] { ++done; });
  CHECK(done == 4);
  CHECK(failures.size() == 2);
  CHECK(raised(failures) == "one is gone; step 2: two is stuck");
  CHECK(raised(failures, "release") == "release: one is gone; step 2: two is stuck");

  Failures all;
  all.add("zero");
  all.add(failures);
  CHECK(raised(all) == "zero; one is gone; step 2: two is stuck");
}
