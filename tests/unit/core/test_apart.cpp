// Work in a child process that can be abandoned.
#include "core/apart.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <thread>

using namespace hostnet;
using namespace std::chrono_literals;

TEST_CASE("every answer in its place; a job that hangs or fails loses only its own") {
  const auto start = Deadline::Clock::now();
  const auto answers = run_apart(
      5,
      [](std::size_t i) -> std::string {
        if (i == 1)
          for (;;) ::pause();
        if (i == 3) throw std::runtime_error("no answer");
        return std::string(i * 100'000, 'x');
      },
      Deadline::after(60s), 1500ms);
  CHECK(Deadline::Clock::now() - start < 30s);
  REQUIRE(answers.size() == 5);
  for (const std::size_t i : {0U, 2U, 4U}) CHECK(answers[i] == std::string(i * 100'000, 'x'));
  CHECK_FALSE(answers[1]);
  CHECK_FALSE(answers[3]);
  // No child is left. One that is killed and takes long to die is reaped by a later call.
  const auto has_child = [] {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  };
  const auto patience = Deadline::after(20s);
  while (has_child() && !patience.expired())
    run_apart(
        0, [](std::size_t) { return std::string(); }, Deadline::after(1s), 1s);
  CHECK_FALSE(has_child());
}

TEST_CASE("all jobs end at the deadline") {
  const auto start = Deadline::Clock::now();
  const auto answers = run_apart(
      100,
      [](std::size_t) -> std::string {
        for (;;) ::pause();
      },
      Deadline::after(300ms), 100ms);
  CHECK(Deadline::Clock::now() - start < 5s);
  CHECK(answers == std::vector<std::optional<std::string>>(100));
}

TEST_CASE("the child has no descriptor of its parent, is in /, and no signal interrupts it") {
  const int ours = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
  REQUIRE(ours >= 0);
  const auto answers = run_apart(
      1,
      [&](std::size_t) {
        char folder[16] = {};
        const bool at_root = ::getcwd(folder, sizeof folder) != nullptr && std::string_view(folder) == "/";
        ::raise(SIGTERM);
        return std::string(at_root ? "/" : "elsewhere") + (::fcntl(ours, F_GETFD) < 0 ? " none" : " some");
      },
      Deadline::after(10s), 10s);
  CHECK(answers.front() == "/ none");
  ::close(ours);
}
