// The choice of a path, and what is said about it.
#include "hostnet/error.hpp"
#include "path/select.hpp"
#include "support/expect_error.hpp"
#include "support/log_count.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

const auto* const kNative = driver_of(Path::native);
const auto* const kSsh = driver_of(Path::ssh);

}  // namespace

TEST_CASE("the usable one is taken and said so") {
  const auto choice = choose({}, {{kNative, {.usable = true, .reasons = {}}}});
  CHECK(choice.driver == kNative);
  CHECK(choice.reasons == std::vector<std::string>{"native: the first that is usable here"});
}

TEST_CASE("ssh serves where native cannot, with the reason") {
  const std::vector<Candidate> candidates{{kNative, {.usable = false, .reasons = {"no root"}}},
                                          {kSsh, {.usable = true, .reasons = {}}}};
  const auto choice = choose({}, candidates);
  CHECK(choice.driver == kSsh);
  CHECK(choice.reasons == std::vector<std::string>{"native: no root", "ssh: the first that is usable here"});
  CHECK(choose({kNative}, candidates).driver == nullptr);
  CHECK(choose({kSsh}, candidates).reasons == std::vector<std::string>{"ssh: as asked for"});
}

TEST_CASE("what is passed over is said with its reasons") {
  const auto choice = choose({kNative}, {{kNative, {.usable = false, .reasons = {"no root", "no bridge"}}}});
  CHECK(choice.driver == nullptr);
  CHECK(choice.reasons == std::vector<std::string>{"native: no root", "native: no bridge"});
}

TEST_CASE("of several, the first that is usable is taken, in the order given") {
  const auto* const relay = driver_of(Path::relay);
  const std::vector<Candidate> candidates{{relay, {.usable = false, .reasons = {"no engine"}}},
                                          {kSsh, {.usable = true, .reasons = {}}}};
  const auto choice = choose({relay, kSsh}, candidates);
  CHECK(choice.driver == kSsh);
  CHECK(choice.reasons == std::vector<std::string>{"relay: no engine", "ssh: the first that is usable here"});
}

TEST_CASE("an order of paths is read from a text and from the options, and written") {
  const auto* const relay = driver_of(Path::relay);
  CHECK(parse_order("auto").empty());
  CHECK(parse_order("ssh") == PathOrder{kSsh});
  CHECK(parse_order("relay,ssh") == PathOrder{relay, kSsh});
  CHECK(parse_order(" relay , ssh") == PathOrder{relay, kSsh});
  for (const char* text : {"auto", "ssh", "relay,ssh", "native,helper,ssh,relay"})
    CHECK(order_text(parse_order(text)) == text);
  for (const char* text : {"", ",", "ssh,", "ssh,ssh", "ssh,auto", "auto,auto", "wormhole", "ssh relay"}) {
    CAPTURE(text);
    const auto error = test::error_of([&] { parse_order(text); });
    CHECK(error.code() == Errc::invalid_argument);
    CHECK_FALSE(error.hint().empty());
  }
  CHECK(order_of({}).empty());
  CHECK(order_of({.path = Path::ssh}) == PathOrder{kSsh});
  CHECK(order_of({.path = Path::native, .paths = {Path::relay, Path::ssh}}) == PathOrder{relay, kSsh});
  for (const auto& wrong : {std::vector{Path::ssh, Path::ssh}, std::vector{Path::automatic},
                            std::vector{Path::ssh, static_cast<Path>(7)}})
    CHECK(test::error_of([&] { make_exposer({.paths = wrong}); }).code() == Errc::invalid_argument);
}

TEST_CASE("public values and names of the library's paths lead to the same rows") {
  REQUIRE(paths().size() == 4);
  for (const auto* const driver : paths()) {
    CAPTURE(driver->name);
    CHECK(driver_of(driver->path) == driver);
    CHECK(find_path(paths(), to_string(driver->path)) == driver);
    // Each shows what it would do, or names one that does.
    if (driver->dry_run == nullptr) {
      REQUIRE(driver->rules_of != nullptr);
      const auto* const shown_by = find_path(paths(), driver->rules_of);
      REQUIRE(shown_by != nullptr);
      CHECK((shown_by->dry_run != nullptr));
    }
    // What describes records can clear them away.
    CHECK((driver->describe == nullptr || driver->clear_away != nullptr));
  }
  CHECK(driver_of(Path::automatic) == nullptr);
  CHECK(find_path(paths(), to_string(Path::automatic)) == nullptr);
  CHECK(find_path(paths(), "") == nullptr);
}

TEST_CASE("each path serves its kinds of targets") {
  const auto* const relay = driver_of(Path::relay);
  CHECK(relay == paths().back());
  CHECK(may_serve(*relay, Target::container("api")));
  CHECK(may_serve(*relay, Target::network("web")));
  CHECK_FALSE(may_serve(*relay, Target::bridge("br0")));
  CHECK(may_serve(*kSsh, Target::network("web")));
  CHECK_FALSE(may_serve(*kSsh, Target::netns("/run/netns/blue")));
  CHECK(may_serve(*kNative, Target::netns("/run/netns/blue")));
}

TEST_CASE("records are kept of leases by helper, ssh and relay") {
  CHECK(keeps_records("relay"));
  CHECK(keeps_records("helper"));
  CHECK(keeps_records("ssh"));
  CHECK(keeps_records("native"));
  for (const auto* const other : {"auto", "wormhole", ""}) CHECK_FALSE(keeps_records(other));
}

TEST_CASE("the path that serves instead is told in one short line, once") {
  const std::string longest(1000, 'x');
  const std::vector<std::string> against{"native: needs root", "helper: " + longest};
  {
    const test::LogCount line("native: needs root; going by ssh instead");
    tell_instead(against, false, *kSsh);
    CHECK(line.times() == 1);
  }
  int warnings = 0;
  std::size_t most = 0;
  std::string all;
  set_log_sink([&](LogLevel level, std::string_view line) {
    all += line;
    if (level != LogLevel::warning) return;
    ++warnings;
    most = std::max(most, line.size());
  });
  tell_instead(against, false, *kSsh);  // as above
  CHECK(warnings == 0);
  tell_instead(against, true, *kSsh);
  tell_instead(against, true, *kSsh);
  set_log_sink({});
  CHECK(warnings == 1);
  CHECK(most < 200);
  CHECK(all.find(longest) != std::string::npos);  // as a detail
}
