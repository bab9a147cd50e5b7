// Folders and files in every shape that another user or an accident may leave: none of them is followed,
// read, removed or waited for.
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "lease/private_folder.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>

using namespace hostnet;
using namespace hostnet::state;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text = "text") { std::ofstream(path) << text; }

// Expects an error with path, reason and remedy, on one line.
void refused(const fs::path& path, const std::string& why) {
  CAPTURE(path);
  for (const bool make : {false, true}) {
    const auto error =
        test::error_of([&] { make ? void(PrivateFolder::make(path)) : void(PrivateFolder::find(path)); });
    CAPTURE(error.what());
    CHECK(error.code() == Errc::not_authorised);
    CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
    CHECK(std::string(error.what()).find(why) != std::string::npos);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    CHECK(error.hint().find("TC_HOSTNET_RUNTIME_DIR") != std::string::npos);
  }
}

// Runs as a user who owns nothing here: as user nobody for root, otherwise as the caller.
template <class Function>
auto as_another_user(Function function) {
  if (::geteuid() != 0) return function();
  return test::run_unprivileged(std::move(function));
}

// Every shape of a file that does not count; returns their names.
std::vector<std::string> make_odd_files(const fs::path& folder, const fs::path& elsewhere) {
  fs::create_directories(elsewhere);
  write(elsewhere / "victim");
  fs::create_symlink(elsewhere / "victim", folder / "link");
  fs::create_symlink(elsewhere / "nosuch", folder / "dangling");
  fs::create_hard_link(elsewhere / "victim", folder / "hard");
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  fs::create_directory(folder / "folder");
  write(folder / "open");
  fs::permissions(folder / "open", fs::perms(0666));
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "socket").c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return {"link", "dangling", "hard", "fifo", "folder", "open", "socket"};
}

}  // namespace

TEST_CASE("the user's own folder is created with its parents, closed to others, and found again") {
  const test::TempDir dir;
  const auto path = dir.path() / "a" / "b" / "state";
  CHECK_FALSE(PrivateFolder::find(path));
  CHECK_FALSE(fs::exists(dir.path() / "a"));
  const auto made = PrivateFolder::make(path);
  CHECK(made.is_there());
  const auto below = made.make_folder("below");
  REQUIRE(below);
  for (const auto& each : {dir.path() / "a", dir.path() / "a" / "b", path, path / "below"}) {
    struct stat status {};
    REQUIRE(::stat(each.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
  }
  const auto found = PrivateFolder::find(path.string() + "/./");
  REQUIRE(found);
  CHECK(found->path() == path);
  CHECK(found->find_folder("below"));
  CHECK_FALSE(found->find_folder("other"));
  CHECK(below->remove_itself());
  CHECK_FALSE(below->is_there());
  CHECK_FALSE(below->make_folder("too late"));
  CHECK(below->names().empty());
}

TEST_CASE("a folder that others may write is refused, and so is a path that is not a folder") {
  const test::TempDir dir;
  const auto path = dir.path() / "state";
  for (const auto mode : {0770, 0707, 0777, 01777}) {
    fs::create_directory(path);
    REQUIRE(::chmod(path.c_str(), static_cast<mode_t>(mode)) == 0);
    refused(path, "can be written by others");
    REQUIRE(fs::remove(path));
  }
  fs::create_directory(dir.path() / "real");
  fs::create_directory_symlink(dir.path() / "real", path);
  refused(path, "is a symbolic link");
  CHECK(fs::is_empty(dir.path() / "real"));
  REQUIRE(fs::remove(path));
  fs::create_symlink(dir.path() / "nosuch", path);
  refused(path, "is a symbolic link");
  CHECK_FALSE(fs::exists(dir.path() / "nosuch"));
  REQUIRE(fs::remove(path));
  write(path);
  refused(path, "is not a folder");
  REQUIRE(fs::remove(path));
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  refused(path, "is not a folder");
}

TEST_CASE("the same shapes are refused below it") {
  const test::TempDir dir;
  const auto folder = PrivateFolder::make(dir.path() / "state");
  fs::create_directory(dir.path() / "elsewhere");
  fs::create_directory_symlink(dir.path() / "elsewhere", folder.path() / "owners");
  for (const auto& reach : {&PrivateFolder::find_folder, &PrivateFolder::make_folder})
    CHECK(test::error_of([&] { static_cast<void>((folder.*reach)("owners")); }).code() ==
          Errc::not_authorised);
  fs::create_directory(folder.path() / "open");
  fs::permissions(folder.path() / "open", fs::perms::all);
  CHECK(test::error_of([&] { static_cast<void>(folder.find_folder("open")); }).code() ==
        Errc::not_authorised);
}

TEST_CASE("another user's folder is refused; for root's the error names root and does not advise removal") {
  const test::TempDir dir;
  fs::permissions(dir.path(), fs::perms(0755));
  // Without privilege, the test uses a folder of root's that every system has.
  const auto theirs = ::geteuid() == 0 ? dir.path() / "state" : fs::path("/usr/share");
  if (::geteuid() == 0) fs::create_directory(theirs);
  as_another_user([&] {
    const auto error = test::error_of([&] { PrivateFolder::find(theirs); });
    CHECK(error.code() == Errc::not_authorised);
    CHECK(error.what() ==
          theirs.string() + " belongs to root, so only root can read and change the leases in it");
    CHECK(error.hint().find("remove") == std::string::npos);
    return 0;
  });
}

TEST_CASE("the parent folder must be closed too, or sticky; links in the path are followed") {
  const test::TempDir dir;
  const auto parent = dir.path() / "run";
  fs::create_directory(parent);
  fs::permissions(parent, fs::perms(0777));
  const auto error = test::error_of([&] { PrivateFolder::make(parent / "state"); });
  CHECK(error.code() == Errc::not_authorised);
  CHECK(std::string(error.what()).find(parent.string() + " can be written by others") == 0);
  CHECK(fs::is_empty(parent));
  REQUIRE(::chmod(parent.c_str(), 01777) == 0);
  CHECK(PrivateFolder::make(parent / "state").is_there());
  fs::create_directory_symlink("run", dir.path() / "link");
  const auto found = PrivateFolder::find(dir.path() / "link" / "state");
  REQUIRE(found);
  CHECK(found->path() == parent / "state");
  fs::create_directory_symlink("loop", dir.path() / "loop");
  CHECK_THROWS_AS(PrivateFolder::find(dir.path() / "loop" / "state"), Error);
}

TEST_CASE("a file that does not count is neither opened nor removed, and nothing waits for it") {
  const test::TempDir dir;
  const auto folder = PrivateFolder::make(dir.path() / "state");
  const auto odd = make_odd_files(folder.path(), dir.path() / "elsewhere");
  auto names = folder.names();
  CHECK(names.size() == odd.size());
  const auto start = std::chrono::steady_clock::now();
  for (const auto& name : odd) {
    CAPTURE(name);
    CHECK_FALSE(folder.has(name));
    for (const int access : {O_RDONLY, O_WRONLY, O_RDWR}) {
      CHECK(test::error_of([&] { static_cast<void>(folder.open(name, access)); }).code() ==
            Errc::not_authorised);
      CHECK(test::error_of([&] { static_cast<void>(folder.open_or_create(name, access)); }).code() ==
            Errc::not_authorised);
    }
    CHECK_FALSE(folder.remove(name));
    // In place of the temporary file of replace().
    CHECK_THROWS_AS(static_cast<void>(folder.create(name, O_WRONLY, 0600)), Error);
  }
  CHECK(std::chrono::steady_clock::now() - start < 5s);
  CHECK(folder.names().size() == odd.size());
  CHECK(read_file(dir.path() / "elsewhere" / "victim") == "text");
}

TEST_CASE("a name is one component") {
  const test::TempDir dir;
  const auto folder = PrivateFolder::make(dir.path() / "state");
  write(dir.path() / "victim");
  for (const std::string name : {"", ".", "..", "../victim", "/etc/passwd"}) {
    CAPTURE(name);
    CHECK_FALSE(folder.has(name));
    CHECK_FALSE(folder.remove(name));
    CHECK_THROWS_AS(static_cast<void>(folder.open(name, O_RDONLY)), Error);
    CHECK_THROWS_AS(static_cast<void>(folder.create(name, O_RDWR, 0600)), Error);
    CHECK_THROWS_AS(folder.replace(name, "text"), Error);
    CHECK_THROWS_AS(static_cast<void>(folder.find_folder(name)), Error);
  }
  CHECK(fs::exists(dir.path() / "victim"));
}

TEST_CASE(
    "a file is replaced atomically, over a killed process's temporary; a link in its place is not followed") {
  const test::TempDir dir;
  const auto folder = PrivateFolder::make(dir.path() / "state");
  CHECK_FALSE(folder.read("f", 10));
  write(folder.path() / "f.new", "half of");
  folder.replace("f", "one");
  CHECK(folder.read("f", 10) == "one");
  CHECK(folder.names() == std::vector<std::string>{"f"});
  CHECK(test::error_of([&] { static_cast<void>(folder.read("f", 2)); }).code() == Errc::failure);
  write(dir.path() / "victim", "kept");
  fs::create_symlink(dir.path() / "victim", folder.path() / "f.new");
  CHECK(test::error_of([&] { folder.replace("f", "two"); }).code() == Errc::not_authorised);
  fs::remove(folder.path() / "f.new");
  fs::create_hard_link(dir.path() / "victim", folder.path() / "f.new");
  CHECK(test::error_of([&] { folder.replace("f", "two"); }).code() == Errc::not_authorised);
  CHECK(folder.read("f", 10) == "one");
  CHECK(read_file(dir.path() / "victim") == "kept");
  // A link in place of the file itself is replaced.
  fs::remove(folder.path() / "f.new");
  fs::remove(folder.path() / "f");
  fs::create_symlink(dir.path() / "victim", folder.path() / "f");
  folder.replace("f", "three");
  CHECK(folder.read("f", 10) == "three");
  CHECK(read_file(dir.path() / "victim") == "kept");
}

TEST_CASE("the folder's lock is waited for until the deadline") {
  const test::TempDir dir;
  auto first = std::make_unique<PrivateFolder>(PrivateFolder::make(dir.path() / "state"));
  const auto second = PrivateFolder::make(dir.path() / "state");
  REQUIRE(first->lock(Deadline::after(1s)));
  CHECK_FALSE(second.lock(Deadline::after(20ms)));
  first.reset();
  CHECK(second.lock(Deadline::after(5s)));
}
