// What is told of an engine that lets its caller wait.
#include "engine/slow_engine.hpp"
#include "support/log_count.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::engine;
using namespace std::chrono_literals;

TEST_CASE("the line names the engine and how long it is waited for") {
  CHECK(slow_engine_line("/run/docker.sock", false, Deadline::after(26'900ms)) ==
        "the engine at /run/docker.sock has not answered for 3 s; waiting up to 27 s more");
  CHECK(slow_engine_line("tcp://a:1", true, Deadline::never()) ==
        "the engine at tcp://a:1 has not ended its answer for 3 s; waiting");
}

TEST_CASE("a slow engine is told once") {
  const test::LogCount told("has not answered for 3 s");
  for (int i = 0; i < 3; ++i) tell_slow_engine("/run/docker.sock", false, Deadline::after(9s));
  CHECK(told.times() == 1);
}
