// Child programs of a process with its own handling of SIGCHLD.
#include "core/child.hpp"
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/forked.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>

using namespace hostnet;
using namespace std::chrono_literals;

namespace {

// Exit codes of two programs, the first of which fails, as hundreds and ones.
int two_codes() {
  const auto one = run_process({"sh", "-c", "exit 3"}, {}, Deadline::after(20s)).exit_code;
  return 10 * one + run_process({"true"}, {}, Deadline::after(20s)).exit_code;
}

void reap_all(int) {
  const int before = errno;
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  errno = before;
}

// Those of earlier tests: a killed one that takes long to die on a busy machine is reaped later (core/apart).
void reap_earlier_children() {
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

}  // namespace

TEST_CASE("the exit code is the program's, even if other code waits for children") {
  CHECK(two_codes() == 30);
  const auto in_program_with = [](void (*handler)(int)) {
    return test::await_child(test::start_child([&] {
      ::signal(SIGCHLD, handler);
      ::_exit(two_codes());
    }));
  };
  CHECK(in_program_with(SIG_IGN) == 30);
  CHECK(in_program_with(reap_all) == 30);
}

TEST_CASE("a signal that ends the child, and one that does not") {
  CHECK(run_process({"sh", "-c", "kill -9 $$"}, {}, Deadline::after(20s)).exit_code == 128 + SIGKILL);
  // Regardless of the signals that the linking program blocks or ignores.
  const int status = test::await_child(test::start_child([] {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    ::_exit(run_process({"sh", "-c", "kill -PIPE $$; exit 1"}, {}, Deadline::after(20s)).exit_code);
  }));
  CHECK(status == 128 + SIGPIPE);
}

TEST_CASE("input, output and errors") {
  const std::string much(300'000, 'x');
  const auto result = run_process({"sh", "-c", "cat; echo no >&2"}, much, Deadline::after(20s));
  CHECK(result.output == much);
  CHECK(result.errors == "no\n");
  CHECK(run_process({"true"}, much, Deadline::after(20s)).exit_code == 0);  // it reads nothing
}

TEST_CASE("a child that misses its deadline is killed, with its descendants") {
  reap_earlier_children();
  const auto start = Deadline::Clock::now();
  CHECK_THROWS_WITH_AS(run_process({"sh", "-c", "sleep 60 & wait"}, {}, Deadline::after(200ms)),
                       "sh did not end in time", Error);
  CHECK(Deadline::Clock::now() - start < 20s);
  CHECK(::waitpid(-1, nullptr, WNOHANG) < 0);  // no child is left
}

TEST_CASE("the pid of an ended program is no other's until its end was read") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  Child child("/bin/sh", {"sh", "-c", "echo $$"}, {.out = to.get()}, Deadline::after(20s));
  to.reset();
  std::string pid(16, '\0');
  pid.resize(static_cast<std::size_t>(::read(from.get(), pid.data(), pid.size())));
  const auto stat = "/proc/" + std::string(trim(pid)) + "/stat";
  const auto is_zombie = [&] { return try_read_file(stat).value_or("").find(") Z ") != std::string::npos; };
  const auto deadline = Deadline::after(20s);
  while (!is_zombie() && std::filesystem::exists(stat) && !deadline.expired())
    std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  CHECK(is_zombie());
  CHECK(child.wait(Deadline::after(20s)) == 0);
  CHECK_FALSE(std::filesystem::exists(stat));
}

TEST_CASE("a program that does not exist or is not executable") {
  reap_earlier_children();
  CHECK_THROWS_AS(run_process({"no-such-program-here"}, {}, Deadline::after(20s)), Error);
  CHECK_THROWS_AS(Child("/etc/passwd", {"passwd"}, {}, Deadline::after(20s)), Error);
  CHECK(::waitpid(-1, nullptr, WNOHANG) < 0);
}

TEST_CASE("the child has its three streams, and no other descriptor of ours") {
  const int inherited = ::fcntl(STDERR_FILENO, F_DUPFD, 100);  // not even close-on-exec
  REQUIRE(inherited >= 0);
  const auto result = run_process({"sh", "-c", "ls /proc/self/fd | wc -l"}, {}, Deadline::after(20s));
  ::close(inherited);
  CHECK(std::stoi(result.output) == 4);  // and the descriptor with which ls reads the folder
  CHECK(Child("/bin/sh", {"sh", "-c", "test \"$(readlink /proc/$$/fd/0)\" = /dev/null"}, {},
              Deadline::after(20s))
            .wait(Deadline::after(20s)) == 0);
  CHECK(
      Child("/bin/sh", {"sh", "-c", "test -z \"$HOME\""}, {}, Deadline::after(20s), Child::Environment::empty)
          .wait(Deadline::after(20s)) == 0);
}

TEST_CASE("a variable of the child replaces ours, and the others stay") {
  ::setenv("HOSTNET_GIVEN", "ours", 1);
  ::setenv("HOSTNET_GIVEN_TOO", "ours", 1);
  const test::TempDir dir;
  const auto file = (dir.path() / "said").string();
  const Child::Life life{.variables = {"HOSTNET_GIVEN=theirs"}};
  CHECK(Child("/bin/sh", {"sh", "-c", "env | grep ^HOSTNET_GIVEN | sort >$0", file}, {}, Deadline::after(20s),
              life)
            .wait(Deadline::after(20s)) == 0);
  CHECK(try_read_file(file) == "HOSTNET_GIVEN=theirs\nHOSTNET_GIVEN_TOO=ours\n");
  // A shell would show one of two; the block has each name once.
  CHECK(Child("/usr/bin/grep", {"grep", "-qzx", "HOSTNET_GIVEN=ours", "/proc/self/environ"}, {},
              Deadline::after(20s), life)
            .wait(Deadline::after(20s)) == 1);
  ::unsetenv("HOSTNET_GIVEN");
  ::unsetenv("HOSTNET_GIVEN_TOO");
}

TEST_CASE("a full descriptor table is an error, and no other file is written to") {
  const test::TempDir dir;
  const int status = test::await_child(test::start_child([&] {
    close_descriptors(STDERR_FILENO + 1, ~0U);
    const int ours = ::open((dir.path() / "ours").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int faults = 0;
    // The pipe and the child need some descriptors: try from no free one to enough.
    for (rlim_t limit = 4; limit < 16; ++limit) {
      const rlimit narrow{limit, 64};
      ::setrlimit(RLIMIT_NOFILE, &narrow);
      try {
        if (Child("/bin/true", {"true"}, {}, Deadline::after(20s)).wait(Deadline::after(20s)) != 0) ++faults;
      } catch (const Error& error) {
        if (error.sys_errno() != EMFILE && limit < 15) ++faults;
        if (limit == 15) ++faults;
      }
    }
    struct stat written {};
    ::fstat(ours, &written);
    ::_exit(written.st_size == 0 ? faults : 99);
  }));
  CHECK(status == 0);
}

namespace {

// What kTellPid writes into the file.
std::optional<pid_t> told_pid(const std::string& file) {
  std::optional<std::uint64_t> pid;
  for (int i = 0; i < 2000 && !pid; ++i) {
    std::this_thread::sleep_for(10ms);
    if (const auto text = try_read_file(file)) pid = parse_number(trim(std::string_view(*text)), INT_MAX);
  }
  return pid ? std::optional(static_cast<pid_t>(*pid)) : std::nullopt;
}

// Starts a bound program in a child of this process, in a thread that ends; returns that child and the program's pid.
std::pair<pid_t, pid_t> start_bound(const test::TempDir& folder, Child::Life life, const char* script) {
  life.bound = true;
  const auto file = (folder.path() / "pid").string();
  const pid_t owner = test::start_child([&] {
    std::thread([&] {
      static const Child child("/bin/sh", {"sh", "-c", script, file}, {}, Deadline::after(20s), life);
    }).join();
    ::pause();
  });
  const auto program = told_pid(file);
  REQUIRE(program);
  return {owner, *program};
}

std::string stat_of(pid_t pid) {
  return try_read_file("/proc/" + std::to_string(pid) + "/stat").value_or("");
}

pid_t parent_of(pid_t pid) {
  const auto stat = stat_of(pid);
  return std::atoi(stat.c_str() + stat.rfind(") ") + 4);
}

bool is_gone(pid_t pid) {
  const auto stat = stat_of(pid);
  return stat.empty() || stat.find(") Z ") != std::string::npos;
}

bool ends(pid_t pid) {
  for (int i = 0; i < 2000; ++i) {
    if (is_gone(pid)) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

constexpr const char* kTellPid = "echo $$ > $0.new && mv $0.new $0 && exec sleep 600";

}  // namespace

TEST_CASE("a bound program outlives the thread that started it, and ends with the process") {
  const test::TempDir folder;
  const auto own = folder.path() / "own";
  std::filesystem::create_directory(own);
  std::ofstream(own / "socket") << "x";
  const auto [owner, program] = start_bound(folder, {.folder = own.string()}, kTellPid);
  std::this_thread::sleep_for(100ms);
  CHECK(::kill(program, 0) == 0);
  CHECK(std::filesystem::exists(own));
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  CHECK(ends(program));
  for (int i = 0; i < 1000 && std::filesystem::exists(own); ++i) std::this_thread::sleep_for(10ms);
  CHECK_FALSE(std::filesystem::exists(own));
}

TEST_CASE("a bound program that ignores SIGTERM ends all the same") {
  const test::TempDir folder;
  const auto [owner, program] =
      start_bound(folder, {}, "trap '' TERM; echo $$ > $0.new && mv $0.new $0; while :; do sleep 1; done");
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  CHECK(ends(program));
}

TEST_CASE("a bound program ends with its intermediate child") {
  const test::TempDir folder;
  const auto [owner, program] = start_bound(folder, {}, kTellPid);
  CHECK(::kill(parent_of(program), SIGKILL) == 0);
  CHECK(ends(program));
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
}

TEST_CASE("nothing is killed by its pid after the end of the intermediate child") {
  const test::TempDir folder;
  const auto file = (folder.path() / "pid").string();
  std::optional<Child> child(std::in_place, "/bin/sh", std::vector<std::string>{"sh", "-c", kTellPid, file},
                             Child::Streams{}, Deadline::after(20s));
  const auto program = told_pid(file);
  REQUIRE(program);
  CHECK(::kill(parent_of(*program), SIGKILL) == 0);
  CHECK(child->wait(Deadline::after(20s)) == std::nullopt);  // the socket has closed
  child.reset();
  std::this_thread::sleep_for(50ms);
  CHECK_FALSE(is_gone(*program));
  ::kill(*program, SIGKILL);
}

TEST_CASE("a bound program reports its exit code, and one that does not start its reason") {
  const Child::Life bound{.bound = true};
  Child child("/bin/sh", {"sh", "-c", "exit 7"}, {}, Deadline::after(20s), bound);
  CHECK(child.wait(Deadline::after(20s)) == 7);
  const test::TempDir folder;
  const auto own = folder.path() / "own";
  std::filesystem::create_directory(own);
  const Child::Life with_folder{.bound = true, .folder = own.string()};
  const auto error = test::error_of(
      [&] { const Child none("/nonexistent", {"nonexistent"}, {}, Deadline::after(20s), with_folder); });
  CHECK(error.sys_errno() == ENOENT);
  CHECK_FALSE(std::filesystem::exists(own));
}
