// Loading libraries at run time: which one is chosen, and the error if none opens.
#include "core/library.hpp"
#include "hostnet/error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <optional>

using namespace hostnet;
using test::contains;

namespace {

constexpr const char* kNoLibrary = "libhostnet-no-such-thing.so.1";

template <class Call>
Error library_failure(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("it did not throw");
  throw Error(Errc::failure, "unreachable");
}

}  // namespace

TEST_CASE("a library that does not open is an error with the loader's words and the package to install") {
  const auto error = library_failure([] {
    Library({.sonames = {kNoLibrary, "libhostnet-nor-this.so"},
             .name = "libthing",
             .purpose = ", which does things,",
             .code = Errc::no_path,
             .hint = "install libthing1"});
  });
  CHECK(error.code() == Errc::no_path);
  CHECK(error.hint() == "install libthing1");
  CHECK(contains(error.what(), "libthing, which does things, does not load: "));
  CHECK(contains(error.what(), kNoLibrary));
}

TEST_CASE("the first library that opens is chosen, and its functions are found by name") {
  const Library library({.sonames = {kNoLibrary, "libc.so.6"},
                         .name = "libc",
                         .code = Errc::engine_unavailable,
                         .hint = "install libc6"});
  int (*absolute)(int) = nullptr;
  library.find("abs", absolute);
  CHECK(absolute(-3) == 3);

  const auto error = library_failure([&] { library.find("hostnet_no_such_function", absolute); });
  CHECK(error.code() == Errc::engine_unavailable);
  CHECK(error.hint() == "install libc6");
  CHECK(contains(error.what(), "the installed libc lacks hostnet_no_such_function"));
}

TEST_CASE("a table is filled once, and retried after a failure") {
  static int tries = 0;
  const auto get = []() -> const Library& {
    static const Library table = [] {
      return Library({.sonames = {++tries == 1 ? kNoLibrary : "libc.so.6"},
                      .name = "libc",
                      .code = Errc::failure,
                      .hint = ""});
    }();
    return table;
  };
  CHECK_THROWS_AS(get(), Error);
  const auto* const first = &get();
  CHECK(&get() == first);
  CHECK(tries == 2);
}
