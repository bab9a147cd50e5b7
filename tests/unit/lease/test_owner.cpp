// Whether an owner lives, as other processes see it.
#include "lease/journal.hpp"
#include "lease/owner.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

using namespace hostnet::state;

namespace {

// A child with an Owner that reports its id and sleeps; with `linger`, a grandchild keeps the lock's
// descriptor open after the child's end.
struct Child {
  Child(const std::filesystem::path& folder, bool linger) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid = ::fork();
    if (pid == 0) {
      const Owner owner(folder);
      if (linger && ::fork() == 0) {
        for (const int fd : {ends[0], ends[1], 0, 1, 2})
          ::close(fd);  // a reader of the test's output need not wait
        ::sleep(5);
        ::_exit(0);
      }
      const auto& mine = owner.id();
      if (::write(ends[1], mine.token.data(), 16) != 16 ||
          ::write(ends[1], &mine.start, sizeof mine.start) < 0)
        ::_exit(1);
      ::sleep(20);
      ::_exit(0);
    }
    ::close(ends[1]);
    char token[16];
    REQUIRE(::read(ends[0], token, 16) == 16);
    id.token.assign(token, 16);
    REQUIRE(::read(ends[0], &id.start, sizeof id.start) == sizeof id.start);
    id.pid = pid;
    ::close(ends[0]);
  }
  void kill() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  pid_t pid = -1;
  OwnerId id;
};

}  // namespace

TEST_CASE("an owner lives as long as its object") {
  const test::TempDir dir;
  auto owner = std::make_unique<Owner>(dir.path());
  const auto id = owner->id();
  CHECK(id.pid == ::getpid());
  CHECK(is_alive(dir.path(), id));
  owner.reset();
  CHECK_FALSE(is_alive(dir.path(), id));
  CHECK(std::filesystem::is_empty(dir.path() / "owners"));
}

TEST_CASE("another process's owner is alive until it is killed") {
  const test::TempDir dir;
  Child child(dir.path(), false);
  CHECK(is_alive(dir.path(), child.id));
  child.kill();
  CHECK_FALSE(is_alive(dir.path(), child.id));
}

TEST_CASE("a forked child that keeps the descriptor does not keep the owner alive") {
  const test::TempDir dir;
  Child child(dir.path(), true);
  CHECK(is_alive(dir.path(), child.id));
  child.kill();
  CHECK_FALSE(is_alive(dir.path(), child.id));
}

TEST_CASE("a killed owner that is still a zombie is dead, even if a forked child keeps the descriptor") {
  const test::TempDir dir;
  for (const bool linger : {false, true}) {
    Child child(dir.path(), linger);
    ::kill(child.pid, SIGKILL);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(is_alive(dir.path(), child.id));
    ::waitpid(child.pid, nullptr, 0);
  }
}

TEST_CASE("an owner whose file is gone is dead") {
  const test::TempDir dir;
  CHECK_FALSE(is_alive(dir.path(), {.token = "0123456789abcdef"}));
}

TEST_CASE("a keepalive lives as long as any duplicate of its descriptor, in any process") {
  const test::TempDir dir;
  auto keepalive = make_keepalive(dir.path());
  OwnerId owner;
  owner.token = keepalive.token;
  owner.lifetime = Lifetime::descriptor;
  CHECK(is_alive(dir.path(), owner));
  const pid_t child = ::fork();
  if (child == 0) {
    ::sleep(20);
    ::_exit(0);
  }
  keepalive.fd.reset();
  CHECK(is_alive(dir.path(), owner));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(is_alive(dir.path(), owner));
}

TEST_CASE("a keepalive's holder can neither write its file nor, without privilege, reopen it") {
  const test::TempDir dir;
  const auto keepalive = make_keepalive(dir.path());
  CHECK(::write(keepalive.fd.get(), "x", 1) == -1);
  const auto path = "/proc/self/fd/" + std::to_string(keepalive.fd.get());
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0400);
}

TEST_CASE("a persistent lease needs no owner") {
  const test::TempDir dir;
  OwnerId owner;
  owner.token = "0123456789abcdef";
  owner.lifetime = Lifetime::persistent;
  CHECK(is_alive(dir.path(), owner));
}

TEST_CASE("an owner's file with a wrong type, link count or mode is not a sign of life") {
  namespace fs = std::filesystem;
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  const Owner owner(folder);
  const auto file = folder / "owners" / owner.id().token;
  CHECK(is_alive(folder, owner.id()));
  fs::create_hard_link(file, dir.path() / "second");
  CHECK_FALSE(is_alive(folder, owner.id()));
  fs::remove(dir.path() / "second");
  CHECK(is_alive(folder, owner.id()));
  fs::permissions(file, fs::perms(0622));
  CHECK_FALSE(is_alive(folder, owner.id()));
  OwnerId odd = owner.id();
  odd.token = "abcd";
  REQUIRE(::mkfifo((folder / "owners" / "abcd").c_str(), 0600) == 0);
  CHECK_FALSE(is_alive(folder, odd));
  odd.token = "00ff";
  fs::create_symlink(file, folder / "owners" / "00ff");
  CHECK_FALSE(is_alive(folder, odd));
}

TEST_CASE("owners are created in a folder closed to others, under any umask") {
  const test::TempDir dir;
  const auto before = ::umask(0);
  const auto keepalive = make_keepalive(dir.path() / "netns-1");
  ::umask(before);
  for (const auto& folder : {dir.path() / "netns-1", dir.path() / "netns-1" / "owners"}) {
    struct stat status {};
    REQUIRE(::stat(folder.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
  }
}

TEST_CASE("a keepalive made during another process's tidy is not removed") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  const pid_t tidier = ::fork();
  if (tidier == 0) {
    JournalFile file(folder);
    for (;;) Journal(file, hostnet::Deadline::never()).tidy({});
  }
  for (int round = 0; round < 300; ++round) {
    const auto keepalive = make_keepalive(folder);
    REQUIRE(std::filesystem::exists(folder / "owners" / keepalive.token));
  }
  ::kill(tidier, SIGKILL);
  ::waitpid(tidier, nullptr, 0);
}
