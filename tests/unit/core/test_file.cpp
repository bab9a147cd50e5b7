// Whole-file reads and the atomic replace.
#include "core/fd.hpp"
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

using namespace hostnet;

TEST_CASE("replace_file gives the new text and the mode, and leaves no other file") {
  const test::TempDir dir;
  const auto path = dir.path() / "f";
  replace_file(path, "one", 0600);
  replace_file(path, "two", 0600);
  CHECK(read_file(path) == "two");
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("replace_file does not follow a planted link") {
  const test::TempDir dir;
  replace_file(dir.path() / "victim", "kept", 0600);
  std::filesystem::create_symlink(dir.path() / "victim", dir.path() / "f.new");
  CHECK_THROWS_AS(replace_file(dir.path() / "f", "text", 0600), Error);
  CHECK(read_file(dir.path() / "victim") == "kept");
}

TEST_CASE("read_file names the file and keeps errno") {
  try {
    read_file("/nonexistent/file");
    FAIL("read");
  } catch (const Error& error) {
    CHECK(error.sys_errno() == ENOENT);
    CHECK(std::string(error.what()).find("/nonexistent/file") != std::string::npos);
  }
  const test::TempDir dir;
  replace_file(dir.path() / "big", std::string(100, 'x'), 0600);
  CHECK_THROWS_AS(read_file(dir.path() / "big", 99), Error);
  CHECK(read_file(dir.path() / "big", 100).size() == 100);
}

TEST_CASE("a process's start time is stable, and absent for no process") {
  const auto first = process_start_time(::getpid());
  REQUIRE(first);
  CHECK(process_start_time(::getpid()) == first);
  CHECK_FALSE(process_start_time(0x3ffffff));
}

TEST_CASE("a process has a display name until it is gone; a boot has one id") {
  char name[16] = {};
  REQUIRE(::prctl(PR_GET_NAME, name) == 0);
  CHECK(command_of(::getpid()) == name);
  CHECK(command_of(0x3ffffff).empty());
  CHECK(boot_id().value().size() == 36);
  CHECK(boot_id() == boot_id());
}

TEST_CASE("a /proc file whose process has ended reads as absent") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const Fd stat(::open(fmt::format("/proc/{}/stat", child).c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(stat);
  const auto again = fmt::format("/proc/self/fd/{}", stat.get());
  CHECK(try_read_file(again));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(try_read_file(again));
}
