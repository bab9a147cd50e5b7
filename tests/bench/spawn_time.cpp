// Measures how long a command takes, from before its spawn. A scripting language needs as long to start a
// process as the command itself takes; posix_spawn is the cheapest way to start one.
#include "commands.hpp"
#include "core/json.hpp"
#include "socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hostnet::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// A running child whose stdout is `output`'s other end.
struct Child {
  pid_t pid = -1;
  Fd output;
};

Child spawn(const Arguments& command) {
  std::vector<std::string> words(command.begin(), command.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  std::array<int, 2> ends{};
  checked(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  Child child{-1, Fd{ends[0]}};
  const Fd write_end{ends[1]};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  const int error = ::posix_spawnp(&child.pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), words.front());
  return child;
}

void wait_for_success(const Child& child, std::string_view name) {
  int status = 0;
  checked(::waitpid(child.pid, &status, 0), "waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error(fmt::format("{} failed, wait status {:#x}", name, status));
}

/// Reads up to the first end of line. Waits at most `timeout_ms`; -1 waits forever.
std::string read_line(int fd, int timeout_ms) {
  std::string line;
  char c = 0;
  pollfd readable{fd, POLLIN, 0};
  while (::poll(&readable, 1, timeout_ms) > 0 && checked(::read(fd, &c, 1), "read") == 1 && c != '\n')
    line += c;
  return line;
}

void time_to_exit(const Arguments& arguments) {
  const auto start = Clock::now();
  Child child;
  for (auto at = arguments.begin();; ++at) {
    const auto end = std::find(at, arguments.end(), "+");
    if (at == end) throw std::invalid_argument("an empty command");
    child = spawn({at, end});
    wait_for_success(child, *at);
    at = end;
    if (at == arguments.end()) break;
  }
  const double elapsed = milliseconds_since(start);
  const json::Value result{{"ms", elapsed}, {"line", read_line(child.output.get(), 0)}};
  std::cout << result.dump() << std::endl;
}

void time_to_line(const Arguments& command) {
  const auto start = Clock::now();
  const Child child = spawn(command);
  const auto line = read_line(child.output.get(), -1);
  const double ready = milliseconds_since(start);
  if (line.empty()) {
    wait_for_success(child, command.front());
    throw std::runtime_error("the command ended without a line of output");
  }
  std::cout << json::Value{{"ms", ready}, {"line", line}}.dump() << std::endl;
  // The end of stdin continues too: a dead measurer must not leave the child behind.
  read_line(STDIN_FILENO, -1);
  const auto stop = Clock::now();
  checked(::kill(child.pid, SIGTERM), "kill");
  int status = 0;
  checked(::waitpid(child.pid, &status, 0), "waitpid");
  std::cout << json::Value{{"ms", milliseconds_since(stop)}, {"status", status}}.dump() << std::endl;
}

}  // namespace

void run_spawn_time(const Arguments& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const bool until_line = std::find(arguments.begin(), dashes, "--until-line") != dashes;
  if (dashes == arguments.end() || dashes + 1 == arguments.end() ||
      dashes - arguments.begin() != (until_line ? 1 : 0))
    throw std::invalid_argument("spawn-time [--until-line] -- COMMAND...");
  const Arguments command(dashes + 1, arguments.end());
  until_line ? time_to_line(command) : time_to_exit(command);
}

}  // namespace hostnet::bench
