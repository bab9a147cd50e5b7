// Jobs in threads, and letters back to the loop's.
#include "watch/workers.hpp"

#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace std::chrono_literals;
using exposer::Workers;

namespace {

void read_until(Workers& workers, const std::function<bool()>& done) {
  for (const auto deadline = Deadline::after(10s); !done() && !deadline.expired();) workers.read(deadline);
  CHECK(done());
}

}  // namespace

TEST_CASE("a job that waits keeps no other waiting, as long as there may be threads") {
  EventLoop loop;
  std::promise<void> go;
  auto gone = go.get_future().share();
  int done = 0;
  Workers workers(loop, 2);
  const auto wait = [&, gone] {
    gone.wait_for(10s);
    workers.tell([&] { ++done; });
  };
  bool told = false;
  workers.post(wait);
  workers.post([&] { workers.tell([&] { told = true; }); });
  read_until(workers, [&] { return told; });

  workers.post(wait);
  std::atomic<bool> begun = false;
  workers.post([&] { begun = true; });
  workers.read(Deadline::after(100ms));
  CHECK_FALSE(begun);
  workers.allow(1);
  told = false;
  workers.post([&] { workers.tell([&] { told = true; }); });
  read_until(workers, [&] { return told; });
  CHECK(begun);  // in its turn
  CHECK(done == 0);
  go.set_value();
  read_until(workers, [&] { return done == 2; });
}

TEST_CASE("letters are read by the loop, in the order in which one job told them") {
  EventLoop loop;
  std::vector<int> read;
  Workers workers(loop, 1);
  workers.post([&] {
    for (int i = 0; i < 3; ++i) workers.tell([&read, i] { read.push_back(i); });
    workers.tell([&] { loop.stop(); });
  });
  loop.after(10s, [&] { loop.stop(); });
  loop.run();
  CHECK(read == std::vector{0, 1, 2});
}

TEST_CASE("what a job throws ends nothing, and no signal is taken by its thread") {
  EventLoop loop;
  Workers workers(loop, 1);
  std::atomic<int> taken = -1;
  bool told = false;
  workers.post([] { throw std::runtime_error("on purpose"); });
  workers.post([&] {
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    taken = ::sigismember(&blocked, SIGTERM) == 1 ? 0 : 1;
    workers.tell([&] { told = true; });
  });
  read_until(workers, [&] { return told; });
  CHECK(taken == 0);
}

TEST_CASE("the end waits for what has begun, and drops the rest") {
  EventLoop loop;
  std::atomic<int> ended = 0;
  std::atomic<bool> begun = false;
  {
    Workers workers(loop, 1);
    const auto job = [&] {
      begun = true;
      std::this_thread::sleep_for(200ms);
      ++ended;
    };
    workers.post(job);
    while (!begun) std::this_thread::sleep_for(1ms);
    workers.post(job);
  }
  CHECK(ended == 1);
}
