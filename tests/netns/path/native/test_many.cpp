// Thousands of leases in one call: each works, each table is written once, and all end.
#include "core/sanitized.hpp"
#include "support/service.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>

using namespace hostnet;
using namespace test;

namespace {

std::vector<ExposeRequest> many(unsigned count) {
  std::vector<ExposeRequest> requests;
  for (unsigned i = 0; i < count; ++i)
    requests.push_back(Testbed::on_br0({HostPort::same(static_cast<std::uint16_t>(20'000 + i))}));
  return requests;
}

template <class Function>
auto timed(const char* what, Function function) {
  const auto start = std::chrono::steady_clock::now();
  auto result = function();
  const std::chrono::duration<double, std::milli> span = std::chrono::steady_clock::now() - start;
  MESSAGE(fmt::format("{}: {:.1f} ms", what, span.count()));
  return result;
}

void check_some(const Testbed& bed, unsigned count, const std::string& expected) {
  for (const unsigned i : {0U, count / 3, count - 1})
    CHECK(dial(bed.container, {bed.gateway, static_cast<std::uint16_t>(20'000 + i)}) == expected);
}

// As `tc-hostnet release` does for many.
std::size_t release_at_once(const Testbed& bed, const std::vector<Exposure>& exposures) {
  exposer::LeaseStore store(bed.runtime_dir());
  auto transaction = store.begin(soon());
  std::set<std::string> ids;
  for (const auto& exposure : exposures) ids.insert(exposure.id());
  transaction.remove(ids);
  return transaction.held().leases.size();
}

// Waits until their owner has noticed their end and tidied up.
void check_all_over(const Testbed& bed, const std::vector<Exposure>& exposures) {
  CHECK(eventually([&] { return exposures.back().state() == ExposureState::released; },
                   std::chrono::seconds{30}));
  CHECK(eventually([&] { return bed.changes().empty(); }, std::chrono::seconds{30}));
  CHECK(bed.changes() == "");
}

}  // namespace

TEST_CASE("1,000 leases go in one call and one change of each table") {
  Testbed bed;
  const unsigned count = 1000;
  const Service first(loopback(20'000), "here");
  const Service middle(loopback(20'333), "here");
  const Service last(loopback(20'999), "here");
  {
    std::vector<std::string> steps;
    const auto requests = many(count);
    const UnwatchedLeases leases(bed.runtime_dir(), requests,
                                 [&](const auto& step) { steps.push_back(exposer::describe(step)); });
    CHECK(steps == std::vector<std::string>{"apply 3 rules in table raw", "apply 3 rules in table mangle",
                                            "apply 5 rules in table filter", "apply 1001 rules in table nat",
                                            "set route_localnet=1 on br0", "remove all bindings"});
    check_some(bed, count, "here");
  }
  CHECK(bed.changes() == "");
  {
    const auto exposer = bed.exposer();
    const auto requests = many(count);
    auto exposures = timed("expose_all() of 1,000", [&] { return exposer->expose_all(requests); });
    REQUIRE(exposures.size() == count);
    check_some(bed, count, "here");
    exposures[0].release();
    CHECK(dial(bed.container, {bed.gateway, 20'000}) == "(refused)");
    CHECK(dial(bed.container, {bed.gateway, 20'333}) == "here");
    timed("releasing ten of them, each by itself", [&] {
      exposures.resize(exposures.size() - 10);
      return 0;
    });
    CHECK(dial(bed.container, {bed.gateway, 20'999}) == "(refused)");
    timed("releasing the rest at once", [&] { return release_at_once(bed, exposures); });
    check_all_over(bed, exposures);
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("10,000 leases go in one call, and all at once") {
  Testbed bed;
  // Under a sanitizer, a release of 10,000 exceeds the deadlines of its waiters.
  const unsigned count = kSanitized ? 2'000 : 10'000;
  const Service first(loopback(20'000), "here");
  const Service middle(loopback(static_cast<std::uint16_t>(20'000 + count / 3)), "here");
  const Service last(loopback(static_cast<std::uint16_t>(20'000 + count - 1)), "here");
  const auto exposer = bed.exposer();
  const auto requests = many(count);
  auto exposures = timed("expose_all() of 10,000", [&] { return exposer->expose_all(requests); });
  REQUIRE(exposures.size() == count);
  check_some(bed, count, "here");
  timed("releasing all 10,000 at once", [&] { return release_at_once(bed, exposures); });
  check_some(bed, count, "(refused)");
  check_all_over(bed, exposures);
}
