// Objects that belong to the parent of a forked child.
#include "core/forked.hpp"
#include "support/forked.hpp"

#include <doctest/doctest.h>

#include <mutex>

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

TEST_CASE("a child has an object of its own, whatever its parent's threads do with theirs") {
  struct Shared {
    std::mutex mutex;
    int number = 0;
  };
  auto& ours = for_this_process<Shared>();
  CHECK(&for_this_process<Shared>() == &ours);
  ours.number = 7;
  const std::scoped_lock lock(ours.mutex);
  CHECK(test::await_child(test::start_child([&] {
          auto& own = for_this_process<Shared>();
          const bool free = own.mutex.try_lock();
          ::_exit(free && own.number == 0 && &own == &for_this_process<Shared>() ? 2 : 3);
        })) == 2);
  CHECK(for_this_process<Shared>().number == 7);
}
