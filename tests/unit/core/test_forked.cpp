// Objects that belong to the parent of a forked child.
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

TEST_CASE("an object of the parent is destroyed only there") {
  bool destroyed = false;
  auto pointer =
      std::make_unique<OfThisProcess<int>>(std::shared_ptr<int>(new int(7), [&](const int* number) {
        delete number;
        destroyed = true;
      }));
  CHECK(*pointer->shared() == 7);
  CHECK(test::await_child(test::start_child([&] {
          bool refused = false;
          try {
            refused = pointer->shared() == nullptr;
          } catch (const Error&) {
            refused = true;
          }
          pointer.reset();
          ::_exit(destroyed || !refused ? 5 : 6);
        })) == 6);
  pointer.reset();
  CHECK(destroyed);
}
