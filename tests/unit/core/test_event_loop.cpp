// The epoll loop: readiness, timers, removal from within callbacks, stop from another thread.
#include "core/event_loop.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <stdexcept>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;

namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  Fd read, write;
};

}  // namespace

TEST_CASE("a readable descriptor calls back until it is removed") {
  EventLoop loop;
  Pipe pipe;
  int calls = 0;
  loop.add(pipe.read.get(), EPOLLIN, [&](std::uint32_t events) {
    CHECK((events & EPOLLIN) != 0);
    if (++calls == 3) {
      loop.remove(pipe.read.get());
      loop.stop();
    }
  });
  REQUIRE(::write(pipe.write.get(), "x", 1) == 1);
  loop.run();
  CHECK(calls == 3);
}

TEST_CASE("timers: once fires once, every repeats until cancelled") {
  EventLoop loop;
  int once = 0;
  int many = 0;
  loop.after(0ms, [&] { ++once; });
  int timer = 0;
  timer = loop.every(2ms, [&] {
    if (++many == 3) loop.cancel(timer);
  });
  loop.after(60ms, [&] { loop.stop(); });
  loop.run();
  CHECK(once == 1);
  CHECK(many == 3);
}

TEST_CASE("stop works from another thread") {
  EventLoop loop;
  std::jthread stopper([&] { loop.stop(); });
  loop.run();
}

TEST_CASE("an exception leaves run, and the loop runs again") {
  EventLoop loop;
  loop.after(0ms, [] { throw std::runtime_error("from a callback"); });
  CHECK_THROWS_WITH(loop.run(), "from a callback");
  loop.after(0ms, [&] { loop.stop(); });
  loop.run();
}
