// Deadlines: time left, and never.
#include "core/deadline.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace std::chrono_literals;

TEST_CASE("time left shrinks and never falls below zero") {
  const auto soon = Deadline::after(50ms);
  CHECK(soon.remaining() <= 50ms);
  CHECK(soon.remaining() > 0ms);
  CHECK_FALSE(soon.expired());
  const auto past = Deadline::after(-1ms);
  CHECK(past.expired());
  CHECK(past.remaining() == 0ms);
  CHECK(past.poll_timeout() == 0);
}

TEST_CASE("a span beyond the clock's range means never, not the past") {
  for (const auto span : {std::chrono::milliseconds::max(), std::chrono::milliseconds{24h * 365 * 300}}) {
    CHECK(Deadline::after(span).is_never());
    CHECK(Deadline::after(span).poll_timeout() == -1);
  }
  CHECK(Deadline::after(std::chrono::seconds::max()).is_never());
  CHECK(Deadline::after(std::chrono::hours::max()).is_never());
  CHECK(Deadline::after(std::chrono::milliseconds::min()).expired());
  CHECK(Deadline::after(std::chrono::seconds::min()).expired());
  CHECK(Deadline::after(24h * 365 * 100).remaining() == std::chrono::milliseconds{INT_MAX});
}

TEST_CASE("never") {
  CHECK_FALSE(Deadline::never().expired());
  CHECK(Deadline::never().poll_timeout() == -1);
  CHECK(Deadline::never().remaining() == std::chrono::milliseconds{INT_MAX});
}
