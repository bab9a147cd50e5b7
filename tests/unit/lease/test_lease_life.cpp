// The end of a lease, and its callbacks.
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;

TEST_CASE("one of several releasers cleans up, and the others return when it is done") {
  LeaseLife life;
  CHECK(life.is_active());
  CHECK(life.reason().empty());
  std::atomic<int> took_down = 0;
  std::atomic<bool> done = false;
  std::atomic<int> early = 0;
  std::vector<std::jthread> all;
  for (int i = 0; i < 8; ++i)
    all.emplace_back([&] {
      if (life.begin_end(ExposureState::released, "released")) {
        ++took_down;
        std::this_thread::sleep_for(50ms);
        done = true;
        life.over();
        return;
      }
      life.wait_over();
      if (!done) ++early;
    });
  all.clear();
  CHECK(took_down == 1);
  CHECK(early == 0);
  CHECK_FALSE(life.begin_end(ExposureState::failed, "too late"));
  CHECK(life.state() == ExposureState::released);
  CHECK(life.reason() == "released");
}

TEST_CASE("a callback gets every end, in order, on one thread that is not the caller's") {
  std::vector<std::string> heard;
  std::promise<std::thread::id> third;
  Notifier notifier([&](const std::string& lease, ExposureState state, const std::string& reason) {
    heard.push_back(lease + " " + to_string(state) + " " + reason);
    if (heard.size() == 3) third.set_value(std::this_thread::get_id());
  });
  notifier.tell("a", ExposureState::released, "one");
  notifier.tell("b", ExposureState::failed, "two");
  notifier.tell("c", ExposureState::released, "three");
  CHECK(third.get_future().get() != std::this_thread::get_id());
  CHECK(heard == std::vector<std::string>{"a released one", "b failed two", "c released three"});
}

TEST_CASE("a callback may drop the notifier itself, and one that throws stops nothing") {
  std::promise<void> gone;
  auto notifier = std::make_shared<Notifier>(nullptr);
  notifier->tell("nobody hears", ExposureState::released, "");
  notifier = std::make_shared<Notifier>([&](const std::string& lease, ExposureState, const std::string&) {
    if (lease == "first") throw std::runtime_error("no");
    if (lease == "odd") throw 42;
    notifier.reset();
    gone.set_value();
  });
  auto& here = *notifier;
  here.tell("first", ExposureState::failed, "");
  here.tell("odd", ExposureState::failed, "");
  here.tell("second", ExposureState::failed, "");
  gone.get_future().get();
  CHECK_FALSE(notifier);
}

TEST_CASE("the end of a notifier waits for the running call, and drops pending ones") {
  std::promise<void> begun;
  std::atomic<int> ended = 0;
  {
    Notifier notifier([&](const std::string&, ExposureState, const std::string&) {
      begun.set_value();
      std::this_thread::sleep_for(50ms);
      ++ended;
    });
    notifier.tell("a", ExposureState::released, "");
    notifier.tell("b", ExposureState::released, "");
    begun.get_future().get();
  }
  CHECK(ended == 1);
}

TEST_CASE("dropped objects are destroyed in the notifier's thread") {
  std::promise<std::thread::id> where;
  Notifier notifier(nullptr);
  notifier.drop(std::shared_ptr<void>(nullptr, [&](void*) { where.set_value(std::this_thread::get_id()); }));
  CHECK(where.get_future().get() != std::this_thread::get_id());
}
