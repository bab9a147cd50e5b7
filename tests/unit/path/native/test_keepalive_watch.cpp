// Detects that the last duplicate of a descriptor was closed: soon, always, and only then.
#include "lease/owner.hpp"
#include "path/native/keepalive_watch.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;

namespace {

// As the monitor does: reads when the descriptor is readable, and again soon while there are suspects.
std::set<std::string> closed_within(exposer::KeepaliveWatch& watch, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    pollfd ready{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, watch.has_suspects() ? 1 : 20);
    if (!watch.read()) continue;
    auto closed = watch.look();
    if (!closed.empty()) return closed;
  }
  return {};
}

}  // namespace

TEST_CASE("no close is missed, however soon look() runs") {
  const test::TempDir dir;
  exposer::KeepaliveWatch watch;
  watch.watch(dir.path());
  for (int round = 0; round < 300; ++round) {
    auto keepalive = state::make_keepalive(dir.path());
    watch.add("lease", keepalive.token);
    std::thread closer([&] { keepalive.fd.reset(); });
    const auto closed = closed_within(watch, 2s);
    closer.join();
    REQUIRE(closed == std::set<std::string>{"lease"});
  }
}

TEST_CASE("what others look at is not closed") {
  const test::TempDir dir;
  exposer::KeepaliveWatch watch;
  watch.watch(dir.path());
  const auto keepalive = state::make_keepalive(dir.path());
  watch.add("lease", keepalive.token);
  state::OwnerId owner;
  owner.token = keepalive.token;
  owner.lifetime = state::Lifetime::descriptor;
  CHECK(state::is_alive(dir.path(), owner));
  CHECK(closed_within(watch, 100ms).empty());
  CHECK_FALSE(watch.has_suspects());
}

TEST_CASE("a duplicate keeps it, and one that is not watched any more is of no interest") {
  const test::TempDir dir;
  exposer::KeepaliveWatch watch;
  watch.watch(dir.path());
  auto first = state::make_keepalive(dir.path());
  auto second = state::make_keepalive(dir.path());
  watch.add("first", first.token);
  watch.add("second", second.token);
  Fd duplicate(::fcntl(first.fd.get(), F_DUPFD_CLOEXEC, 3));
  first.fd.reset();
  watch.remove("second");
  second.fd.reset();
  CHECK(closed_within(watch, 100ms).empty());
  duplicate.reset();
  CHECK(closed_within(watch, 2s) == std::set<std::string>{"first"});
}
