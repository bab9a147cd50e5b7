// Jobs in threads, and their letters to the loop's thread.
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

TEST_CASE("a waiting job delays no other below the thread limit") {
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

TEST_CASE("the loop reads letters in the order in which a job sent them") {
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

TEST_CASE("a job's exception stops nothing, and its thread takes no signal") {
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

TEST_CASE("the end waits for running jobs, and drops pending ones") {
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
