// Quota slots are taken, bounded, and returned.
#include "daemon/quota.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

#include <array>
#include <vector>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

Errc refusal(Quota& quota, uid_t uid, std::size_t ports) {
  return test::error_of([&] { [[maybe_unused]] const auto share = quota.take(uid, ports); }).code();
}

}  // namespace

TEST_CASE("leases and ports of one user") {
  Quota quota({.leases_per_uid = 2, .ports_per_uid = 10, .leases = 100, .prompts_per_uid = 1});
  {
    const auto first = quota.take(1, 9);
    CHECK(refusal(quota, 1, 2) == Errc::quota_exceeded);
    const auto second = quota.take(1, 1);
    CHECK(refusal(quota, 1, 0) == Errc::quota_exceeded);
    CHECK_NOTHROW(static_cast<void>(quota.take(2, 10)));
    CHECK_NOTHROW(static_cast<void>(quota.take(0, 1000)));  // only the total bounds root
  }
  CHECK_NOTHROW(static_cast<void>(quota.take(1, 10)));
}

TEST_CASE("leases of all users, and adopted ones") {
  Quota quota({.leases_per_uid = 2, .ports_per_uid = 10, .leases = 3, .prompts_per_uid = 1});
  std::vector<Quota::Share> shares;
  for (uid_t uid = 1; uid <= 3; ++uid) shares.push_back(quota.take(uid, 1));
  CHECK(refusal(quota, 4, 1) == Errc::quota_exceeded);
  CHECK(refusal(quota, 0, 1) == Errc::quota_exceeded);
  shares.push_back(quota.take(4, 100, true));
  shares.clear();
  CHECK_NOTHROW(static_cast<void>(quota.take(4, 1)));
}

TEST_CASE("a moved share counts once, and may outlive the quota") {
  Quota::Share kept;
  {
    Quota quota({.leases_per_uid = 1, .ports_per_uid = 1, .leases = 1, .prompts_per_uid = 1});
    auto share = quota.take(1, 1);
    kept = std::move(share);
    CHECK(refusal(quota, 1, 1) == Errc::quota_exceeded);
    kept = {};
    kept = quota.take(1, 1);
  }
}

TEST_CASE("pending requests") {
  Quota quota({.leases_per_uid = 9, .ports_per_uid = 9, .leases = 9, .prompts_per_uid = 1});
  auto prompt = quota.wait(1);
  CHECK(test::error_of([&] { [[maybe_unused]] const auto more = quota.wait(1); }).code() ==
        Errc::quota_exceeded);
  CHECK_NOTHROW(static_cast<void>(quota.wait(2)));
  prompt = {};
  CHECK_NOTHROW(static_cast<void>(quota.wait(1)));
}

TEST_CASE("unanswered calls of one user are bounded, independently of root's and other users'") {
  Quota quota({.calls_per_uid = 2});
  const auto first = quota.call(1000);
  {
    const auto second = quota.call(1000);
    CHECK_THROWS_WITH_AS(static_cast<void>(quota.call(1000)), doctest::Contains("2 calls of one user"),
                         Error);
    const auto of_another = quota.call(1001);
    const auto roots = std::array{quota.call(0), quota.call(0), quota.call(0)};
  }
  const auto again = quota.call(1000);
}
