// Sockets of root and of another user, and paths to them that another user may change. Only root can make
// them.
#include "core/fd.hpp"
#include "engine/address.hpp"
#include "engine/unix_socket.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "support/unprivileged.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

using namespace hostnet;
using namespace hostnet::engine;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kOther = 31001;

struct Listening {
  explicit Listening(const fs::path& path, bool as_nobody = false) : fd(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    path.string().copy(where.sun_path, sizeof where.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    const auto listen = [&] { return ::listen(fd.get(), 8); };
    REQUIRE((as_nobody ? test::run_unprivileged(listen) : listen()) == 0);
  }
  Fd fd;
};

std::string fault(const fs::path& path) { return connect_unix({path.string(), "--engine"}).fault; }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder of root's with root's socket in it.
struct World {
  test::TempDir dir;
  fs::path folder = dir.path() / "run";
  fs::path socket = folder / "engine.sock";
  Listening listening = [this] {
    fs::create_directory(folder);
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(folder.c_str(), 0755) == 0);
    return Listening(socket);
  }();
};

}  // namespace

TEST_CASE("root's socket, also one that a group may dial") {
  const World world;
  CHECK(fault(world.socket).empty());
  REQUIRE(::chown(world.socket.c_str(), 0, 12345) == 0);
  REQUIRE(::chmod(world.socket.c_str(), 0660) == 0);
  CHECK(fault(world.socket).empty());
  const auto made = connect_unix({world.socket.string(), "--engine"});
  CHECK(made.uid == 0);
  CHECK(made.listener == ::getpid());
  CHECK(::send(made.fd.get(), "x", 1, MSG_NOSIGNAL) == 1);
}

TEST_CASE("a socket that another user owns or listens on") {
  const World world;
  REQUIRE(::chown(world.socket.c_str(), kOther, 0) == 0);
  CHECK(
      contains(fault(world.socket), fmt::format("socket '{}' belongs to uid 31001", world.socket.string())));

  const auto other = world.folder / "other.sock";
  const Listening listening(other, true);
  CHECK(contains(fault(other), "a process of uid 65534 listens there"));
}

TEST_CASE("a folder in the path that another user owns or may change") {
  const World world;
  const auto& folder = world.folder;
  REQUIRE(::chown(folder.c_str(), kOther, 0) == 0);
  CHECK(contains(fault(world.socket), fmt::format("folder '{}' belongs to uid 31001", folder.string())));
  REQUIRE(::chown(folder.c_str(), 0, 12345) == 0);
  CHECK(fault(world.socket).empty());
  REQUIRE(::chmod(folder.c_str(), 0775) == 0);
  CHECK(contains(fault(world.socket), "may be changed by the group 12345"));
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  CHECK(contains(fault(world.socket), "may be changed by every user"));
  // Like /tmp: other users cannot replace root's files there.
  REQUIRE(::chmod(folder.c_str(), 01777) == 0);
  CHECK(fault(world.socket).empty());
  REQUIRE(::chmod(folder.c_str(), 0755) == 0);
  // A folder further up counts too.
  REQUIRE(::chown(world.dir.path().c_str(), kOther, 0) == 0);
  CHECK(contains(fault(world.socket), fmt::format("folder '{}'", world.dir.path().string())));
}

TEST_CASE("links are followed, and where they lie counts as much as where they lead") {
  const World world;
  const auto link = world.folder / "link.sock";
  fs::create_symlink("engine.sock", link);
  CHECK(fault(link).empty());
  const auto up = world.folder / "up";
  fs::create_symlink("../run", up);
  CHECK(fault(up / "engine.sock").empty());
  CHECK(fault(world.folder / "../run/./engine.sock").empty());

  REQUIRE(::lchown(link.c_str(), kOther, 0) == 0);
  CHECK(contains(fault(link), fmt::format("link '{}' belongs to uid 31001", link.string())));
  CHECK(fault(world.socket).empty());

  const auto home = world.dir.path() / "home";
  fs::create_directory(home);
  REQUIRE(::chown(home.c_str(), kOther, 0) == 0);
  const auto theirs = home / "engine.sock";
  fs::create_symlink(world.socket, theirs);
  CHECK(contains(fault(theirs), "home' belongs to uid 31001"));
  // A path through their folder and out of it again.
  CHECK(contains(fault(home / "../run/engine.sock"), "home' belongs to uid 31001"));
}

TEST_CASE("a procfs link does not lead where it reads, and never counts as a fixed path") {
  const World world;
  CHECK(contains(fault(fmt::format("/proc/{}/root{}", ::getpid(), world.socket.string())),
                 "cannot be verified"));
}

TEST_CASE("a path that leads to a socket other than the opened one does not pass") {
  const World world;
  const Listening second(world.folder / "second.sock");
  struct stat there {};
  REQUIRE(::stat((world.folder / "second.sock").c_str(), &there) == 0);
  CHECK(fault_on_way((world.folder / "second.sock").string(), there, 0).empty());
  CHECK(contains(fault_on_way(world.socket.string(), there, 0), "cannot be verified"));
  CHECK(contains(fault_on_way((world.folder / "gone.sock").string(), there, 0), "cannot be verified"));
  CHECK(contains(fault_on_way((world.folder / "second.sock/x").string(), there, 0), "cannot be verified"));
  const auto round = world.folder / "round";
  fs::create_symlink(round, round);
  CHECK(contains(fault_on_way(round.string(), there, 0), "cannot be verified"));
}

TEST_CASE("the user's own socket counts like root's, a third user's does not") {
  const World world;
  struct stat there {};
  REQUIRE(::chown(world.folder.c_str(), kOther, 0) == 0);
  REQUIRE(::chown(world.socket.c_str(), kOther, 0) == 0);
  REQUIRE(::stat(world.socket.c_str(), &there) == 0);
  CHECK(fault_on_way(world.socket.string(), there, kOther).empty());
  CHECK_FALSE(fault_on_way(world.socket.string(), there, kOther + 1).empty());
}

TEST_CASE("a socket without a listener gives the usual error") {
  const World world;
  CHECK(test::error_of([&] { fault(world.folder / "gone.sock"); }).code() == Errc::engine_unavailable);
  CHECK(test::error_of([&] { fault(world.folder); }).code() == Errc::engine_unavailable);
  CHECK(test::error_of([&] { fault("/" + std::string(200, 'x')); }).code() == Errc::invalid_argument);
}
