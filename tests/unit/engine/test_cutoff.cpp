// Requests of an ending process to a hanging engine.
#include "engine/conversation.hpp"
#include "engine/cutoff.hpp"
#include "engine/transport.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <future>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;
using engine::Transport;
using test::FakeEngine;

namespace {

// Lifts the cutoff at the end of the test, even if it fails.
struct Cutoff {
  explicit Cutoff(std::chrono::milliseconds span) { engine::end_requests_at(Deadline::after(span)); }
  ~Cutoff() { engine::end_requests_at(Deadline::never()); }
};

struct Stop {
  Stop() { engine::stop_requests(); }
  ~Stop() { engine::resume_requests(); }
};

bool answers_nothing(const std::string&, int) { return true; }

}  // namespace

TEST_CASE("a running request ends within about a second of the cutoff, regardless of its deadline") {
  const FakeEngine engine(answers_nothing);
  const engine::Address address{engine.socket(), "--engine"};
  const auto ask = [&](Deadline deadline) { Transport(address).get("/things", deadline); };
  const std::array<std::function<void()>, 3> requests{
      [&] { ask(Deadline::after(30s)); }, [&] { ask(Deadline::never()); },
      [&] { engine::converse(address, "/exec", "{}", "input", Deadline::after(30s), [](auto) {}); }};
  for (const auto& request : requests) {
    const auto begin = Deadline::Clock::now();
    auto error = std::async(std::launch::async, [&] { return test::error_of(request); });
    REQUIRE(error.wait_for(300ms) == std::future_status::timeout);
    const Cutoff cutoff(200ms);
    CHECK(error.get().code() == Errc::timed_out);
    CHECK(Deadline::Clock::now() - begin < 5s);
  }
}

TEST_CASE("a later request ends at the cutoff, and sends nothing after it") {
  const FakeEngine engine(answers_nothing);
  Transport transport({engine.socket(), "--engine"});
  const auto begin = Deadline::Clock::now();
  const Cutoff cutoff(200ms);
  const auto ask = [&] { transport.get("/things", Deadline::after(30s)); };
  CHECK(test::error_of(ask).code() == Errc::timed_out);
  CHECK(engine.connections() == 1);
  CHECK(test::error_of(ask).code() == Errc::timed_out);
  CHECK(engine.connections() == 1);
  CHECK(Deadline::Clock::now() - begin < 2s);
}

TEST_CASE("an earlier deadline stays, and a lifted cutoff has no effect") {
  const Deadline soon = Deadline::after(100ms);
  {
    const Cutoff cutoff(30s);
    CHECK(engine::before_cutoff(soon).remaining() <= 100ms);
    CHECK(engine::before_cutoff(Deadline::never()).remaining() <= 30s);
  }
  CHECK(engine::before_cutoff(Deadline::never()).is_never());
}

TEST_CASE("a program that was told to stop makes no more requests, but for those that undo") {
  const FakeEngine engine([](const std::string& line, int connection) {
    if (line.starts_with("DELETE")) test::send_bytes(connection, test::http(204, ""));
    return true;
  });
  const engine::Address address{engine.socket(), "--engine"};
  const auto ask = [&] { Transport(address).get("/things", Deadline::after(60s)); };
  const auto remove = [&] { Transport(address).remove("/things", Deadline::after(60s)); };
  const auto begin = Deadline::Clock::now();
  auto running = std::async(std::launch::async, [&] { return test::error_of(ask); });
  REQUIRE(running.wait_for(300ms) == std::future_status::timeout);
  const Stop stop;
  CHECK(running.get().code() == Errc::timed_out);
  CHECK(Deadline::Clock::now() - begin < 10s);
  const auto connections = engine.connections();
  CHECK(test::error_of(ask).code() == Errc::timed_out);
  CHECK(test::error_of(remove).code() == Errc::timed_out);
  CHECK(engine.connections() == connections);
  const auto answers = engine::answers();
  {
    const engine::Undoing undoing;
    CHECK(engine::is_undoing());
    remove();
  }
  CHECK(engine::answers() == answers + 1);
  CHECK(!engine::is_undoing());
}

TEST_CASE("a request that makes something may end after the stop, so that its result is undone") {
  const FakeEngine engine([](const std::string&, int connection) {
    std::this_thread::sleep_for(500ms);
    test::send_bytes(connection, test::http(201, "made"));
    return true;
  });
  auto making = std::async(std::launch::async, [&] {
    return Transport({engine.socket(), "--engine"}).post("/things", "{}", Deadline::after(60s)).body;
  });
  REQUIRE(making.wait_for(100ms) == std::future_status::timeout);
  const Stop stop;
  CHECK(making.get() == "made");
}
