// Threads that do not affect the program which links the library.
#include "core/thread.hpp"
#include "hostnet/error.hpp"
#include "support/forked.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

using namespace hostnet;

TEST_CASE("a thread blocks the program's signals, but not those of its own faults") {
  const auto blocked = run_in_thread("a-name", [] {
    sigset_t set;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &set);
    return set;
  });
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE})
    CHECK(::sigismember(&blocked, signal) == 1);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    CHECK(::sigismember(&blocked, signal) == 0);
  sigset_t ours;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &ours);
  CHECK(::sigismember(&ours, SIGTERM) == 0);
}

TEST_CASE("a thread has its name, up to the kernel's limit") {
  CHECK(run_in_thread("a-name-of-more-than-that", [] {
          char name[16] = {};
          ::pthread_getname_np(::pthread_self(), name, sizeof name);
          return std::string(name);
        }) == "a-name-of-more-");
}

TEST_CASE("an exception of its work ends only the thread") {
  start_thread("throws", [] { throw std::runtime_error("no"); }).join();
  CHECK_THROWS_WITH_AS(run_in_thread("throws", []() -> int { throw std::runtime_error("no"); }), "no",
                       std::runtime_error);
}

TEST_CASE("a thread that the system does not create is an error") {
  const int status = test::await_child(test::start_child([] {
    pthread_attr_t attributes;  // a stack larger than any memory
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, std::size_t{1} << 46);
    ::pthread_setattr_default_np(&attributes);
    try {
      start_thread("none", [] {}).join();
    } catch (const Error& error) {
      ::_exit(std::string_view(error.what()).starts_with("cannot start thread none") ? 7 : 8);
    }
  }));
  CHECK(status == 7);
}
