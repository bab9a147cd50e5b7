// The workers: order, results, exceptions, which thread destroys what, and when a worker counts as stuck.
#include "daemon/guard.hpp"
#include "daemon/worker.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace hostnet::daemon;
using namespace std::chrono_literals;

namespace {

// Reads like the bus thread.
void read(Inbox& inbox, const bool& until) {
  while (!until) {
    pollfd wake{.fd = inbox.fd(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&wake, 1, 10'000) == 1);
    while (const auto letter = inbox.next()) (*letter)();
  }
}

// Records the thread of its destruction.
struct Owned {
  explicit Owned(std::thread::id& in) : where(in) {}
  ~Owned() { where = std::this_thread::get_id(); }
  std::thread::id& where;
};

}  // namespace

TEST_CASE("jobs run in their order in the worker's thread, their results in the reader's") {
  Inbox inbox;
  Worker worker("test", inbox);
  const auto alive = std::make_shared<int>();
  const auto here = std::this_thread::get_id();
  std::vector<int> order;
  bool done = false;
  for (int number = 0; number < 100; ++number)
    worker.run(
        alive,
        [here, number] {
          CHECK(std::this_thread::get_id() != here);
          return number;
        },
        [&, here](Outcome<int>& outcome) {
          CHECK(std::this_thread::get_id() == here);
          order.push_back(outcome.get());
          done = order.size() == 100;
        });
  read(inbox, done);
  for (int number = 0; number < 100; ++number) CHECK(order[static_cast<std::size_t>(number)] == number);
}

TEST_CASE("a job's exception goes to the receiver of its result") {
  Inbox inbox;
  Worker worker("test", inbox);
  const auto alive = std::make_shared<int>();
  bool done = false;
  worker.run(
      alive, []() -> int { throw Error(Errc::conflict, "taken"); },
      [&](Outcome<int>& outcome) {
        REQUIRE(outcome.thrown());
        CHECK(bus_error(outcome.thrown()).getName() == "io.github.tchostnet.HostNet1.Error.PortInUse");
        CHECK_THROWS_AS(outcome.get(), Error);
      });
  worker.run(
      alive, [] { throw 7; },
      [&](Outcome<void>& outcome) {
        CHECK(outcome.thrown());
        done = true;
      });
  read(inbox, done);
}

TEST_CASE("a receiver that is gone gets no result") {
  Inbox inbox;
  Worker worker("test", inbox);
  auto gone = std::make_shared<int>();
  const auto alive = std::make_shared<int>();
  bool told = false;
  bool done = false;
  worker.run(
      gone, [] {}, [&](Outcome<void>&) { told = true; });
  gone.reset();
  worker.run(
      alive, [] {}, [&](Outcome<void>&) { done = true; });
  read(inbox, done);
  CHECK_FALSE(told);
}

TEST_CASE("the reader's objects are destroyed in the reader's thread, the job's in the worker's") {
  Inbox inbox;
  Worker worker("test", inbox);
  const auto alive = std::make_shared<int>();
  for (int round = 0; round < 200; ++round) {
    std::thread::id of_work;
    std::thread::id of_done;
    bool done = false;
    worker.run(
        alive, [owned = std::make_shared<Owned>(of_work)] {},
        [owned = std::make_shared<Owned>(of_done), &done](Outcome<void>&) { done = true; });
    read(inbox, done);
    CHECK(of_done == std::this_thread::get_id());
    CHECK(of_work != std::thread::id());
    CHECK(of_work != std::this_thread::get_id());
  }
}

TEST_CASE("a worker is stuck when a job exceeds all deadlines, not when it is idle") {
  Inbox inbox;
  Worker worker("test", inbox, 100ms);
  CHECK_FALSE(worker.is_stuck(Worker::Clock::now() + 1h));
  std::promise<void> begun;
  std::promise<void> end;
  worker.post([&] {
    begun.set_value();
    end.get_future().wait();
    return Inbox::Letter();
  });
  begun.get_future().wait();
  CHECK_FALSE(worker.is_idle());
  CHECK(worker.is_stuck(Worker::Clock::now() + 101ms));
  end.set_value();
  worker.finish();
  CHECK(worker.is_idle());
  CHECK_FALSE(worker.is_stuck(Worker::Clock::now() + 1h));
}

TEST_CASE("posted jobs run before the end, and later ones are refused") {
  Inbox inbox;
  Worker worker("test", inbox);
  int count = 0;
  for (int i = 0; i < 50; ++i)
    worker.post([&] {
      ++count;
      return Inbox::Letter();
    });
  worker.finish();
  CHECK(count == 50);
  worker.post([&] {
    ++count;
    return Inbox::Letter();
  });
  CHECK(count == 50);
}

TEST_CASE("the guard passes only exceptions that the binding catches") {
  CHECK_NOTHROW(guarded("a test", [] { throw Error(Errc::failure, "of ours"); }));
  CHECK_NOTHROW(guarded("a test", [] { throw 7; }));
  CHECK(answered("a test", [] { return 7; }) == 7);
  CHECK_THROWS_AS(answered("a test", [] { throw std::runtime_error("of the library"); }), sdbus::Error);
  CHECK_THROWS_AS(answered("a test", [] { throw 7; }), sdbus::Error);
  CHECK_THROWS_WITH_AS(answered("a test", [] { throw Error(Errc::timed_out, "too long", "a hint"); }),
                       doctest::Contains("too long; a hint"), sdbus::Error);
}
