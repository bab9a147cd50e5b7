// What belongs to the parent of a forked child.
#include "core/forked.hpp"
#include "support/forked.hpp"

#include <doctest/doctest.h>

using namespace hostnet;

TEST_CASE("a child knows that it is one") {
  const auto here = fork_generation();
  CHECK(test::await_child(test::start_child([&] {
          const bool child = fork_generation() != here;
          const auto grandchild = test::await_child(test::start_child(
              [before = fork_generation()] { ::_exit(fork_generation() != before ? 2 : 3); }));
          ::_exit(child ? grandchild : 4);
        })) == 2);
  CHECK(fork_generation() == here);
}

TEST_CASE("an object of the parent is destroyed there alone") {
  struct Tells {
    ~Tells() { destroyed = true; }
    bool& destroyed;
  };
  bool destroyed = false;
  auto pointer = std::make_unique<OfThisProcess<Tells>>(std::make_shared<Tells>(destroyed));
  CHECK(test::await_child(test::start_child([&] {
          pointer.reset();
          ::_exit(destroyed ? 5 : 6);
        })) == 6);
  pointer.reset();
  CHECK(destroyed);
}
