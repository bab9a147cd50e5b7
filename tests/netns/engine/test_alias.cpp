// The alias, written from outside into the hosts file of a process in its own mount namespace, which plays a
// container, including a hostile one.
#include "core/apart.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "engine/alias.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/fake_container.hpp"
#include "support/hostile_hosts.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <list>
#include <thread>

using namespace hostnet;
using namespace hostnet::engine;
using namespace std::chrono_literals;
using test::bind;
using test::FakeContainer;
using test::must;
using test::write;
namespace fs = std::filesystem;

namespace {

constexpr const char* kAlias = "host.testcontainers.internal";
constexpr const char* kLine = "10.1.2.3\thost.testcontainers.internal # tc-hostnet L1\n";
constexpr const char* kHosts = "127.0.0.1 localhost\n";
const Ipv4 kAddress = Ipv4::parse("10.1.2.3").value();

ino_t inode(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_ino;
}

FileId id_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return {status.st_dev, status.st_ino};
}

Errc code_of(const std::function<void()>& call) { return test::error_of(call).code(); }

}  // namespace

TEST_CASE("by a descriptor: the line comes and goes, and a lock is waited for no longer than said") {
  const test::TempDir dir;
  const auto path = dir.path() / "hosts";
  write(path, kHosts);
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(file);
  const auto in_place = [&](const std::string& text) { std::ofstream(path) << text; };
  for (int i = 0; i < 2; ++i) {
    CHECK(write_alias_to(file.get(), "api", kAlias, kAddress, "L1") == AliasResult::written);
    CHECK(write_alias_to(file.get(), "api", kAlias, kAddress, "L1") == AliasResult::written);
    CHECK(read_file(path) == std::string(kHosts) + kLine);
    // Somebody else's line behind ours stays.
    const auto later = i == 0 ? std::string() : std::string("10.0.0.9 later\n");
    in_place(read_file(path) + later);
    remove_alias_from(file.get(), "L1");
    remove_alias_from(file.get(), "L1");
    CHECK(read_file(path) == kHosts + later);
  }
  in_place(std::string(kHosts) + "192.0.2.1 " + kAlias + "\n");
  CHECK(code_of([&] { write_alias_to(file.get(), "api", kAlias, kAddress, "L1"); }) == Errc::conflict);
  const Fd other(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(other.get(), LOCK_EX) == 0);
  CHECK(code_of([&] { remove_alias_from(file.get(), "L1", Deadline::after(50ms)); }) == Errc::timed_out);
  REQUIRE(::flock(other.get(), LOCK_UN) == 0);
  remove_alias_from(file.get(), "L1");
  CHECK(::flock(other.get(), LOCK_EX | LOCK_NB) == 0);  // ours is not kept
}

TEST_CASE("written and removed in place: the mounted inode stays the engine's") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  write(engines, kHosts);
  const auto before = inode(engines);
  const FakeContainer container([&](const fs::path& root) { bind(engines, root / "etc/hosts"); });
  const auto record = container.record(engines);

  CHECK(write_alias(record, kAlias, kAddress, "L1") == AliasResult::written);
  CHECK(container.hosts() == std::string(kHosts) + kLine);
  CHECK(write_alias(record, kAlias, kAddress, "L1") == AliasResult::written);
  CHECK(container.hosts() == std::string(kHosts) + kLine);
  CHECK(write_alias(record, kAlias, kAddress, "L2") == AliasResult::written);
  remove_alias(record, "L1");
  CHECK(container.hosts() ==
        std::string(kHosts) + "10.1.2.3\thost.testcontainers.internal # tc-hostnet L2\n");
  remove_alias(record, "L2");
  CHECK(container.hosts() == kHosts);
  remove_alias(record, "L2");
  CHECK(read_file(engines) == kHosts);
  CHECK(inode(engines) == before);
}

TEST_CASE("HostsPath may be invisible here, or unknown") {
  const FakeContainer container([](const fs::path& root) { write(root / "etc/hosts", "no newline"); });
  for (const fs::path& path : {fs::path(), fs::path("/nonexistent/hosts")}) {
    write_alias(container.record(path), kAlias, kAddress, "L1");
    CHECK(container.hosts() == std::string("no newline\n") + kLine);
    remove_alias(container.record(path), "L1");
    CHECK(container.hosts() == "no newline\n");
  }
}

TEST_CASE("the user's own entry: the same address is enough, another is a conflict; neither is touched") {
  const std::string theirs = fmt::format("10.1.2.3 {} # mine\n", kAlias);
  const FakeContainer container([&](const fs::path& root) { write(root / "etc/hosts", theirs); });
  CHECK(write_alias(container.record(), kAlias, kAddress, "L1") == AliasResult::already_there);
  try {
    write_alias(container.record(), kAlias, Ipv4::parse("10.9.9.9").value(), "L1");
    FAIL("written");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::conflict);
    CHECK(std::string(error.what()).find("already defined") != std::string::npos);
    CHECK(std::string(error.what()).find("10.1.2.3") != std::string::npos);
  }
  remove_alias(container.record(), "L1");
  CHECK(container.hosts() == theirs);
}

TEST_CASE("a read-only mount is written through HostsPath, if that is the same file") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  write(engines, kHosts);
  const FakeContainer container([&](const fs::path& root) { bind(engines, root / "etc/hosts", MS_RDONLY); });
  write_alias(container.record(engines), kAlias, kAddress, "L1");
  CHECK(container.hosts() == std::string(kHosts) + kLine);
  remove_alias(container.record(engines), "L1");
  CHECK(container.hosts() == kHosts);

  // If HostsPath is not visible here, the write fails with a message.
  try {
    write_alias(container.record(), kAlias, kAddress, "L1");
    FAIL("written");
  } catch (const Error& error) {
    CHECK(error.sys_errno() == EROFS);
  }
  CHECK(read_file(engines) == kHosts);
}

TEST_CASE("a file that is not HostsPath is not written") {
  const test::TempDir dir;
  write(dir.path() / "hosts", kHosts);
  write(dir.path() / "victim", "secret\n");
  const FakeContainer container(
      [&](const fs::path& root) { bind(dir.path() / "victim", root / "etc/hosts"); });
  const auto record = container.record(dir.path() / "hosts");
  CHECK(code_of([&] { write_alias(record, kAlias, kAddress, "L1"); }) == Errc::conflict);
  CHECK(read_file(dir.path() / "victim") == "secret\n");
  CHECK(read_file(dir.path() / "hosts") == kHosts);
}

TEST_CASE("this machine's own hosts file is never written, even if a container mounts it") {
  const auto before = read_file("/etc/hosts");
  const FakeContainer container([](const fs::path& root) { bind("/etc/hosts", root / "etc/hosts"); });
  CHECK(code_of([&] { write_alias(container.record(), kAlias, kAddress, "L1"); }) == Errc::conflict);

  // Nor through a process without its own mount namespace, such as a wrong pid would name.
  const AliasRecord self{"f00d", ::getpid(), process_start_time(::getpid()).value(), "", {}};
  CHECK(code_of([&] { write_alias(self, kAlias, kAddress, "L1"); }) == Errc::conflict);
  CHECK(read_file("/etc/hosts") == before);
}

TEST_CASE("a symbolic link is not followed: as the file, as the folder, or out through /proc") {
  const test::TempDir dir;
  const auto victim = dir.path() / "victim";
  write(victim, "secret\n");
  const auto upward = "/../../../../../.." + victim.string();
  const std::vector<std::function<void(const fs::path&)>> layouts{
      [&](const fs::path& root) { fs::create_symlink(upward, root / "etc/hosts"); },
      [&](const fs::path& root) { fs::create_symlink(victim, root / "etc/hosts"); },
      [&](const fs::path& root) {
        write(root / "real", kHosts);
        fs::create_symlink("/real", root / "etc/hosts");
      },
      [&](const fs::path& root) {
        fs::remove(root / "etc");
        fs::create_symlink("/../../../.." + dir.path().string(), root / "etc");
      },
      [&](const fs::path& root) {
        fs::create_directory(root / "proc");
        must(::mount("proc", (root / "proc").c_str(), "proc", 0, nullptr), "proc");
        fs::create_symlink("/proc/1/root" + victim.string(), root / "etc/hosts");
      },
  };
  write(dir.path() / "hosts", "outside\n");
  for (const auto& layout : layouts) {
    const FakeContainer container(layout);
    CHECK(code_of([&] { write_alias(container.record(), kAlias, kAddress, "L1"); }) == Errc::conflict);
    CHECK(code_of([&] { remove_alias(container.record(), "L1"); }) == Errc::conflict);
    CHECK(read_file(victim) == "secret\n");
    CHECK(read_file(dir.path() / "hosts") == "outside\n");
  }
}

TEST_CASE("a FIFO, a device, a folder: refused at once, without being opened") {
  const std::vector<std::function<void(const fs::path&)>> layouts{
      [](const fs::path& root) { must(::mkfifo((root / "etc/hosts").c_str(), 0666), "mkfifo"); },
      [](const fs::path& root) {
        must(::mknod((root / "etc/hosts").c_str(), S_IFCHR | 0666, makedev(1, 3)), "mknod");
      },
      [](const fs::path& root) { fs::create_directory(root / "etc/hosts"); },
  };
  for (const auto& layout : layouts) {
    const FakeContainer container(layout);
    const auto start = Deadline::Clock::now();
    CHECK(code_of([&] { write_alias(container.record(), kAlias, kAddress, "L1"); }) == Errc::conflict);
    CHECK(Deadline::Clock::now() - start < std::chrono::seconds{5});
  }
}

TEST_CASE("no hosts file, no process, another process with the pid: not found, and removal does nothing") {
  FakeContainer container([](const fs::path&) {});
  CHECK(code_of([&] { write_alias(container.record(), kAlias, kAddress, "L1"); }) == Errc::not_found);
  remove_alias(container.record(), "L1");

  const FakeContainer other([](const fs::path& root) { write(root / "etc/hosts", kLine); });
  auto reused = other.record();
  reused.pid_start -= 1;
  CHECK(code_of([&] { write_alias(reused, kAlias, kAddress, "L2"); }) == Errc::not_found);
  remove_alias(reused, "L1");
  CHECK(other.hosts() == kLine);

  const auto record = container.record();
  container.end();
  CHECK(code_of([&] { write_alias(record, kAlias, kAddress, "L1"); }) == Errc::not_found);
  remove_alias(record, "L1");
}

TEST_CASE("after the container is gone, our line is removed from HostsPath, but not through a link or FIFO") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  write(engines, kHosts);
  FakeContainer container([&](const fs::path& root) { bind(engines, root / "etc/hosts"); });
  auto record = container.record(engines);
  record.file = id_of(engines);
  write_alias(record, kAlias, kAddress, "L1");
  container.end();
  const auto with_line = std::string(kHosts) + kLine;
  CHECK(read_file(engines) == with_line);

  auto by_link = record;
  by_link.hosts_path = (dir.path() / "link").string();
  fs::create_symlink(engines, by_link.hosts_path);
  remove_alias(by_link, "L1");
  CHECK(read_file(engines) == with_line);

  auto by_fifo = record;
  by_fifo.hosts_path = (dir.path() / "fifo").string();
  REQUIRE(::mkfifo(by_fifo.hosts_path.c_str(), 0600) == 0);
  remove_alias(by_fifo, "L1");

  remove_alias(record, "another lease");
  CHECK(read_file(engines) == with_line);

  // Nor from a file that is not the written one, or that an old journal does not identify.
  auto of_old_journal = record;
  of_old_journal.file = {};
  remove_alias(of_old_journal, "L1");
  auto another = record;
  ++another.file.inode;
  remove_alias(another, "L1");
  CHECK(read_file(engines) == with_line);

  remove_alias(record, "L1");
  CHECK(read_file(engines) == kHosts);
  fs::remove(engines);
  remove_alias(record, "L1");
}

TEST_CASE("removal makes the same checks as writing: a file mounted over the engine's is not touched") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  const auto victim = dir.path() / "victim";
  write(engines, kHosts);
  const auto of_victim = std::string("keep me\n") + kLine + "and me\n";
  write(victim, of_victim);
  // A container with mount rights does this during a lease.
  for (const bool is_visible : {true, false}) {
    CAPTURE(is_visible);
    write(engines, std::string(kHosts) + kLine);
    const FakeContainer container([&](const fs::path& root) {
      bind(engines, root / "etc/hosts");
      must(::mount(victim.c_str(), (root / "etc/hosts").c_str(), nullptr, MS_BIND, nullptr), "bind over");
    });
    auto record = container.record(is_visible ? engines : fs::path());
    record.file = id_of(engines);
    CHECK(container.hosts() == of_victim);
    if (is_visible)
      remove_alias(record, "L1");
    else
      CHECK(code_of([&] { remove_alias(record, "L1"); }) == Errc::conflict);
    CHECK(read_file(victim) == of_victim);
    CHECK(read_file(engines) == (is_visible ? kHosts : std::string(kHosts) + kLine));
  }
  // The same for this machine's own file, and for a file with two names.
  const auto before = read_file("/etc/hosts");
  const FakeContainer of_machine([](const fs::path& root) { bind("/etc/hosts", root / "etc/hosts"); });
  CHECK(code_of([&] { remove_alias(of_machine.record(), "L1"); }) == Errc::conflict);
  CHECK(read_file("/etc/hosts") == before);
  fs::create_hard_link(victim, dir.path() / "second name");
  const FakeContainer of_two([&](const fs::path& root) { bind(victim, root / "etc/hosts"); });
  CHECK(code_of([&] { remove_alias(of_two.record(), "L1"); }) == Errc::conflict);
  CHECK(code_of([&] { write_alias(of_two.record(), kAlias, kAddress, "L1"); }) == Errc::conflict);
  CHECK(read_file(victim) == of_victim);
  // Control: the second name was the reason; with one name, the file is written.
  fs::remove(dir.path() / "second name");
  remove_alias(of_two.record(), "L1");
  CHECK(read_file(victim) == "keep me\nand me\n");
}

TEST_CASE("a file lease, a lock, a FIFO, a silent file system: no file delays the others beyond the budget") {
  auto* const asked = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(asked != MAP_FAILED);
  const test::TempDir dir;
  const auto hosts_in = [](const fs::path& root) { write(root / "etc/hosts", kHosts); };
  const std::vector<std::pair<Errc, FakeContainer::Furnish>> hostile{
      {Errc::timed_out,
       [&](const fs::path& root) {
         hosts_in(root);
         test::hold_lease(root / "etc/hosts");
       }},
      {Errc::timed_out,
       [&](const fs::path& root) {
         hosts_in(root);
         test::hold_flock(root / "etc/hosts");
       }},
      {Errc::conflict, [&](const fs::path& root) { test::put_fifo(root / "etc/hosts"); }},
      {Errc::conflict,
       [&](const fs::path& root) {
         hosts_in(root);
         test::mount_silence(root / "etc/hosts", asked);
       }},
      {Errc::conflict, [&](const fs::path& root) { test::mount_silence(root / "etc", asked); }},
  };
  std::list<FakeContainer> containers;
  std::vector<AliasEdit> writing;
  for (const auto& [code, furnish] : hostile) {
    containers.emplace_back(furnish);
    writing.push_back({containers.back().record(), "L1", kAddress});
  }
  containers.emplace_back(hosts_in);
  const auto& good = containers.back();
  writing.push_back({good.record(), "L1", kAddress});
  auto removing = writing;
  for (auto& edit : removing) edit.address.reset();

  for (const auto* const edits : {&writing, &removing}) {
    const auto start = Deadline::Clock::now();
    const auto outcomes = edit_aliases(*edits, kAlias);
    const auto took = Deadline::Clock::now() - start;
    CHECK(took >= kAliasBudget);  // edits that may still succeed are retried until then
    CHECK(took < 5 * kAliasBudget);
    for (std::size_t i = 0; i < hostile.size(); ++i) {
      CAPTURE(i);
      REQUIRE(outcomes[i]);
      CHECK(outcomes[i]->code() == hostile[i].first);
    }
    CHECK_FALSE(outcomes.back());
    CHECK(good.hosts() == (edits == &writing ? std::string(kHosts) + kLine : kHosts));
  }
  CHECK(*asked == 0);  // the silent file system was never asked, so it cannot hang us

  // Control: an open of the file hangs, even after SIGKILL, until the file system is gone.
  const auto path = fmt::format("/proc/{}/root/etc/hosts", std::next(containers.begin(), 3)->pid());
  const auto answers = run_apart(
      1,
      [&](std::size_t) {
        const Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        return std::string(fd ? "open" : "not open");
      },
      Deadline::after(500ms), 500ms);
  CHECK_FALSE(answers.front());
  CHECK(*asked > 0);
  containers.clear();
  ::munmap(asked, sizeof *asked);
}

TEST_CASE("a returned file lease and a released lock are waited for within the budget") {
  const FakeContainer container([](const fs::path& root) { write(root / "etc/hosts", kHosts); });
  const auto path = fmt::format("/proc/{}/root/etc/hosts", container.pid());
  const AliasEdit edit{container.record(), "L1", kAddress};
  for (const auto& hold : {test::hold_lease, test::hold_flock}) {
    const pid_t other = ::fork();
    REQUIRE(other >= 0);
    if (other == 0) {
      hold(path);
      ::kill(::getpid(), SIGSTOP);
      ::usleep(300'000);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(other, &status, WUNTRACED) == other);
    REQUIRE(WIFSTOPPED(status));
    CHECK(code_of([&] { write_alias(edit.record, kAlias, kAddress, "L1", {}, Deadline::after(0ms)); }) ==
          Errc::timed_out);
    ::kill(other, SIGCONT);
    CHECK_FALSE(edit_aliases(std::span(&edit, 1), kAlias, Deadline::after(10s)).front());
    CHECK(container.hosts() == std::string(kHosts) + kLine);
    ::waitpid(other, nullptr, 0);
    remove_alias(edit.record, "L1");
  }
}

TEST_CASE("many concurrent leases lose no line, added or existing") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  write(engines, kHosts);
  const FakeContainer container([&](const fs::path& root) { bind(engines, root / "etc/hosts"); });
  const auto record = container.record(engines);
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread)
      threads.emplace_back([&, thread] {
        for (int round = 0; round < 50; ++round) {
          const auto lease = fmt::format("T{}R{}", thread, round);
          write_alias(record, kAlias, kAddress, lease);
          if (round % 2 == 0) remove_alias(record, lease);
        }
      });
  }
  const auto left = container.hosts();
  CHECK(left.starts_with(kHosts));
  CHECK(std::count(left.begin(), left.end(), '\n') == 1 + 8 * 25);
  for (int thread = 0; thread < 8; ++thread)
    for (int round = 1; round < 50; round += 2) {
      CHECK(left.find(fmt::format("# tc-hostnet T{}R{}\n", thread, round)) != std::string::npos);
      remove_alias(record, fmt::format("T{}R{}", thread, round));
    }
  CHECK(container.hosts() == kHosts);
}

TEST_CASE("a lock held in the container delays us for two seconds, not forever") {
  const FakeContainer container([](const fs::path& root) { write(root / "etc/hosts", kHosts); });
  const Fd held(
      ::open(fmt::format("/proc/{}/root/etc/hosts", container.pid()).c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(held.get(), LOCK_EX) == 0);
  CHECK(code_of([&] { write_alias(container.record(), kAlias, kAddress, "L1"); }) == Errc::timed_out);
  CHECK(container.hosts() == kHosts);
}

TEST_CASE("an engine's answer becomes a record only with evidence that the pid is the container's") {
  const test::TempDir dir;
  const auto engines = dir.path() / "hosts";
  write(engines, kHosts);
  const FakeContainer process([&](const fs::path& root) { bind(engines, root / "etc/hosts"); });
  Container container;
  container.id = process.record().container;
  container.name = "api";
  CHECK(code_of([&] { alias_record(container); }) == Errc::conflict);  // it does not run

  container.running = true;
  container.pid = process.pid();
  CHECK(code_of([&] { alias_record(container); }) == Errc::not_found);  // any process may have that pid
  container.hosts_path = "/nonexistent/hosts";
  CHECK(code_of([&] { alias_record(container); }) == Errc::not_found);
  write(dir.path() / "other", kHosts);
  container.hosts_path = (dir.path() / "other").string();
  CHECK(code_of([&] { alias_record(container); }) == Errc::not_found);
  container.hosts_path = engines.string();
  auto expected = process.record(engines);
  expected.file = id_of(engines);
  expected.name = "api";
  CHECK(alias_record(container) == expected);

  container.hosts_mounted = true;
  CHECK(code_of([&] { alias_record(container); }) == Errc::conflict);
  container.hosts_mounted = false;
  container.pid = 0x3ffffff;
  CHECK(code_of([&] { alias_record(container); }) == Errc::not_found);
}
